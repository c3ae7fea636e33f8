"""What `masklet run` does: sources through trackers into sinks, up to the end or Ctrl-C."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import typer
from masklet.runtime.backends.kind import in_one_line
from masklet.runtime.backends.stage_times import StageTimes
from masklet.runtime.bundle.bundle import Bundle, BundleChoice
from masklet.runtime.cli.open_stream import Opened, Order, RunOptions, open_stream
from masklet.runtime.cli.per_stream import outputs_of, path_of
from masklet.runtime.cli.trackers import Trackers
from masklet.runtime.cli.tuned_options import with_tuning
from masklet.runtime.concepts.detector import check_concepts
from masklet.runtime.concepts.tracker import NO_STATE
from masklet.runtime.errors import SourceError, StateError
from masklet.runtime.prompts.prompts import Schedule
from masklet.runtime.sinks.outputs import Outputs
from masklet.runtime.sinks.sink import Sinks
from masklet.runtime.sources.environment import from_environment
from masklet.runtime.sources.opening import check_source
from masklet.runtime.startup.tracking_request import TrackingRequest
from masklet.runtime.streams.frame_queue import Captured, Policy
from masklet.runtime.streams.log import Log
from masklet.runtime.streams.metrics import Metrics, parse_address
from masklet.runtime.streams.pace import Pace
from masklet.runtime.streams.runner import Runner
from masklet.runtime.streams.steered_tracker import SteeredTracker
from masklet.runtime.streams.stream import Stream
from masklet.runtime.streams.supervise import Supervisor, progress_bar
from masklet.runtime.streams.wake_up import WakeUp
from masklet.runtime.streams.writer import OnWritten
from masklet.runtime.tracking.known_policies import policy_of
from masklet.runtime.tracking.memory_detail import block_memory
from masklet.runtime.tracking.tracker import Tracker
from masklet.runtime.tracking.update_interval import check_update_interval
from masklet.runtime.view.opening import open_view
from masklet.runtime.view.watched_stream import Steering
from rich.console import Console

if TYPE_CHECKING:
    from masklet.runtime.view.view import View


def orders(specs: Sequence[str], schedules: Sequence[Schedule], outputs: Outputs, options: RunOptions) -> list[Order]:
    """One order for each source. Raises MaskletError if options contradict each other."""
    for n, schedule in enumerate(schedules, 1):
        where = "" if len(specs) == 1 else f" in source {n}"
        if options.view is None:  # a viewer can add prompts later
            TrackingRequest(schedule, options.concepts).check_given(where)
    if options.concepts and options.state is not None:
        raise StateError(NO_STATE)
    if specs.count("-") > 1:
        raise SourceError("standard input can be one source, not several")
    count = len(specs)
    wanted = [
        Order(n, from_environment(spec), schedule, outputs_of(outputs, n, count), path_of(options.state, n, count))
        for n, (spec, schedule) in enumerate(zip(specs, schedules, strict=True), 1)
    ]
    for order in wanted:
        for spec in specs:
            order.outputs.spare(spec)
    return wanted


def run_streams(bundle: BundleChoice, wanted: Sequence[Order], options: RunOptions) -> None:
    """Track objects through sources and write the requested outputs.

    If a source cannot be opened, the others run without it; the run ends if it is the only one.
    """
    console = Console(stderr=True)
    log = Log(lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True), options.log_json)
    model, options = _load(bundle, options, log)
    with ExitStack() as stack:
        metrics = stack.enter_context(Metrics(*parse_address(options.metrics))) if options.metrics else None
        times = StageTimes()
        view = stack.enter_context(open_view("--view", options.view, times)) if options.view else None
        opened, failed = open_all(model, wanted, options, log, stack)
        if not opened:
            return
        timed = view is not None or any(one.outputs.times_stages for one in opened)
        sessions, backend = options.backend.open(
            model, lambda who: log.event("backend", who), times.wrap if timed else None
        )
        stack.enter_context(sessions)

        def stepped(stream: int, step: int, why: str) -> None:
            log.event("budget", why, stream=stream if len(wanted) > 1 else None)
            if metrics is not None:
                metrics.stepped(stream, step)

        wake_up, trackers = WakeUp(), Trackers(sessions, options, model.manifest.tuning, stepped)
        sinks = [
            stack.enter_context(
                one.outputs.open(one.source.fps, one.schedule, times.since, began_ns=one.source.began_ns)
            )
            for one in opened
        ]
        streams = [
            _stream(one, into, trackers, wake_up, metrics, view) for one, into in zip(opened, sinks, strict=True)
        ]
        delay = options.found_with.delay if options.concepts else 0
        if delay and any(one.source.frames is None for one in opened):
            log.event("delay", f"results come {delay} frames late; --hotstart 0 gives them at once")
        if view is not None:
            view.begin(model.model, in_one_line(backend.ran_on) if backend.ran_on else options.backend.name)
            log.event("view", f"served at {view.url}")
            typer.echo(view.private_url)
        if metrics is not None:
            metrics.watch(streams, options.patience.silence_s)
            log.event("metrics", f"served at {metrics.url}")
        wrote = [str(one.outputs) for one in opened]
        with progress_bar(console, not options.log_json) as progress:
            supervisor = Supervisor(streams, wrote, log, options.patience, progress, numbered=len(wanted) > 1)
            interrupted = supervisor.run(Runner(streams, wake_up))
        supervisor.close(interrupted, unopened=failed)


def check_run(bundle: BundleChoice, wanted: Sequence[Order], options: RunOptions) -> None:
    """Check everything that can be checked before a source is opened. Raises MaskletError."""
    log = Log(lambda line: typer.echo(line, err=True), options.log_json)
    _load(bundle, options, log)
    for order in wanted:
        check_source(order.spec, options.feed)
    log.event("checked", "options, prompts, bundle and kinds of sources; no source was opened")


def _load(bundle: BundleChoice, options: RunOptions, log: Log) -> tuple[Bundle, RunOptions]:
    """The bundle, and the options as it was tuned. Raises MaskletError if the model does not support them."""
    model = bundle.load()
    options = with_tuning(options, model, lambda line: log.event("tuned", line))
    if options.concepts:
        check_concepts(model.model, model.asset, options.concepts)
    if model.model.memory is not None or not options.concepts:
        check_update_interval(options.update_interval or 1, policy_of(model.model, options.memory))
        block_memory(model.model, options.limits.detail)
    return model, options


def open_all(
    model: Bundle, wanted: Sequence[Order], options: RunOptions, log: Log, stack: ExitStack
) -> tuple[list[Opened], int]:
    """Open every source that is not finished, and count those that cannot be opened.

    Raises SourceError if no source can be opened.
    """
    opened: list[Opened] = []
    errors: list[SourceError] = []
    for order in wanted:
        number = order.number if len(wanted) > 1 else None
        try:
            one = open_stream(order, model, options, log, number, stack)
            opened += [] if one is None else [one]
        except SourceError as error:
            errors.append(error)
            if number is not None:
                log.event("failed", str(error), stream=number)
    if errors and not opened:
        raise errors[-1]
    return opened, len(errors)


def _stream(
    one: Opened, outputs: Sinks, trackers: Trackers, wake_up: WakeUp, metrics: Metrics | None, view: "View | None"
) -> Stream:
    """An opened source as a stream; a view, if there is one, shows and controls it."""
    tracker = trackers.of(one)
    watched = None if view is None else view.stream(one.number)

    def written(captured: Captured, at_s: float) -> None:
        latency_s = at_s - captured.at_s
        if metrics is not None:
            metrics.written(one.number, latency_s)
        if watched is not None:
            watched.latency_s = latency_s

    if watched is None:
        return _plain_stream(one, tracker, outputs, wake_up, written, None)
    idle = not (trackers.concepts or tracker.object_ids or one.prompts.frames)
    pace = _pace(one, wake_up, paused=idle)
    look_for = trackers.looking_for if trackers.finds_concepts else None
    steered = SteeredTracker(tracker, one.prompts, look_for, wake_up.set if pace is None else pace.step)
    stream = _plain_stream(one, steered, Sinks([watched, outputs]), wake_up, written, pace)
    watched.attach(Steering(stream, steered, one.prompts, pace), trackers.concepts)
    return stream


def _plain_stream(
    one: Opened, tracker: Tracker, sinks: Sinks, wake_up: WakeUp, written: OnWritten, pace: Pace | None
) -> Stream:
    return Stream(
        one.number,
        one.source,
        tracker,
        one.prompts,
        sinks,
        one.policy,
        wake_up,
        keeping=one.keeping,
        on_written=written,
        pace=pace,
    )


def _pace(one: Opened, wake_up: WakeUp, *, paused: bool) -> Pace | None:
    """The pace of a file, which waits at its first frame if `paused`; live sources do not wait."""
    if one.source.frames is None or one.policy is not Policy.EVERY:
        return None
    return Pace(wake_up, one.source.fps, paused=paused)
