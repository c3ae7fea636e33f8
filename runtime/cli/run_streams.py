"""What `masklet run` does: sources through trackers into sinks, up to the end or Ctrl-C."""

from collections.abc import Sequence
from contextlib import ExitStack

from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle, BundleChoice
from masklet.runtime.cli.open_stream import Opened, Order, RunOptions, open_stream
from masklet.runtime.cli.per_stream import outputs_of, path_of
from masklet.runtime.concepts.detector import ConceptDetector, check_concepts
from masklet.runtime.concepts.tracker import NO_STATE, ConceptTracker
from masklet.runtime.errors import SourceError, StateError
from masklet.runtime.prompts.prompts import Schedule
from masklet.runtime.sinks.outputs import Outputs
from masklet.runtime.sinks.sink import Sinks
from masklet.runtime.startup.tracking_request import TrackingRequest
from masklet.runtime.streams.frame_queue import Captured
from masklet.runtime.streams.log import Log
from masklet.runtime.streams.metrics import Metrics, parse_address
from masklet.runtime.streams.runner import Runner
from masklet.runtime.streams.stream import Stream
from masklet.runtime.streams.supervise import Supervisor, progress_bar
from masklet.runtime.streams.wake_up import Bell
from masklet.runtime.tracking.known_policies import policy_of
from masklet.runtime.tracking.memory_detail import block_memory
from masklet.runtime.tracking.tracker import Tracker
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker
from rich.console import Console


def orders(specs: Sequence[str], schedules: Sequence[Schedule], outputs: Outputs, options: RunOptions) -> list[Order]:
    """What there is to do for each source. Raises MaskletError where it does not go together."""
    for n, schedule in enumerate(schedules, 1):
        where = "" if len(specs) == 1 else f" in source {n}"
        TrackingRequest(schedule, options.concepts).check_given(where)
    if options.concepts and options.state is not None:
        raise StateError(NO_STATE)
    if specs.count("-") > 1:
        raise SourceError("standard input can be one source, not several")
    count = len(specs)
    wanted = [
        Order(n, spec, schedule, outputs_of(outputs, n, count), path_of(options.state, n, count))
        for n, (spec, schedule) in enumerate(zip(specs, schedules, strict=True), 1)
    ]
    for order in wanted:
        for spec in specs:
            order.outputs.spare(spec)
    return wanted


def run_streams(bundle: BundleChoice, wanted: Sequence[Order], options: RunOptions) -> None:
    """Track prompted objects through sources and write what was asked for.

    A source that cannot be opened ends the run where it is the only one; otherwise the others run without it.
    """
    model = bundle.load()
    if options.concepts:
        check_concepts(model.model, model.asset, options.concepts)
    if model.model.memory is not None or not options.concepts:
        policy_of(model.model, options.memory)  # can it be served? asked before anything is opened
        block_memory(model.model, options.limits.detail)
    console = Console(stderr=True)
    log = Log(lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True), options.log_json)
    with ExitStack() as stack:
        metrics = stack.enter_context(Metrics(*parse_address(options.metrics))) if options.metrics else None
        opened, failed = open_all(model, wanted, options, log, stack)
        if not opened:
            return
        sessions = stack.enter_context(options.backend.sessions(model, lambda who: log.event("backend", who)))
        bell = Bell()
        found_with = options.found_with
        detector = ConceptDetector(sessions, found_with) if options.concepts else None
        sinks = [stack.enter_context(one.outputs.open(one.source.fps)) for one in opened]
        streams = [
            _stream(one, into, sessions, detector, bell, options, metrics)
            for one, into in zip(opened, sinks, strict=True)
        ]
        if detector is not None and found_with.delay and any(one.source.frames is None for one in opened):
            log.event("delay", f"results come {found_with.delay} frames late; --hotstart 0 gives them at once")
        if metrics is not None:
            metrics.watch(streams)
            log.event("metrics", f"served at {metrics.url}")
        wrote = [str(one.outputs) for one in opened]
        with progress_bar(console, not options.log_json) as progress:
            supervisor = Supervisor(streams, wrote, log, options.patience, progress, numbered=len(wanted) > 1)
            interrupted = supervisor.run(Runner(streams, bell))
        supervisor.close(interrupted, unopened=failed)


def open_all(
    model: Bundle, wanted: Sequence[Order], options: RunOptions, log: Log, stack: ExitStack
) -> tuple[list[Opened], int]:
    """Open every source that is not run to its end, and count those that cannot be.

    Raises SourceError where none can.
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


def _tracker(one: Opened, sessions: Sessions, detector: ConceptDetector | None, options: RunOptions) -> Tracker:
    if detector is not None:
        return ConceptTracker(sessions, options.concepts, detector.options, detector, options.memory, options.limits)
    chosen = TrackerOptions(non_overlapping=options.non_overlapping, limits=options.limits)
    tracker = VideoTracker(sessions, chosen, options.memory)
    if one.state is not None:
        tracker.restore(one.state.tracker)
    return tracker


def _stream(
    one: Opened,
    sinks: Sinks,
    sessions: Sessions,
    detector: ConceptDetector | None,
    bell: Bell,
    options: RunOptions,
    metrics: Metrics | None,
) -> Stream:

    def written(captured: Captured, at_s: float) -> None:
        if metrics is not None:
            metrics.written(one.number, at_s - captured.at_s)

    return Stream(
        one.number,
        one.source,
        _tracker(one, sessions, detector, options),
        one.prompts,
        sinks,
        one.policy,
        bell,
        keeping=one.keeping,
        on_written=written,
    )
