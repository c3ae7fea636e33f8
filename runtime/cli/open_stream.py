"""An opened source of the command line: its frames, its outputs, and its state from before a restart."""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import MANIFEST
from masklet.runtime.concepts.concept import Concept
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.prompts.prompt_book import PromptBook
from masklet.runtime.prompts.prompts import Removals, Schedule
from masklet.runtime.sinks.outputs import Outputs
from masklet.runtime.sources.opening import open_source
from masklet.runtime.sources.password import hide_password
from masklet.runtime.sources.source import FeedOptions, Source
from masklet.runtime.startup.backend_choice import BackendChoice
from masklet.runtime.startup.tracking_request import TrackingRequest, check_frames_come
from masklet.runtime.streams.frame_queue import Policy
from masklet.runtime.streams.log import Log
from masklet.runtime.streams.resume import cut_after, go_on_with
from masklet.runtime.streams.state import StreamState, load_state
from masklet.runtime.streams.stream import Keeping
from masklet.runtime.streams.supervise import Patience
from masklet.runtime.tracking.known_policies import policy_of, policy_text
from masklet.runtime.tracking.memory_limits import MemoryLimits


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run.

    cut:     which frames, as `open_source` takes them (start, end, stride, max_side, reverse).
    concepts: what to find, and how; empty if all objects are prompted.
    policy:  which frames are run; None for every frame of files and raw frames, and the newest of cameras.
    state:   where streams save their state, every `state_every_s` seconds; None for nowhere.
    metrics: [HOST:]PORT to serve metrics at; None for no metrics.
    view:    [HOST:]PORT to serve a live view at; None for no view.
    memory:  the memory policy; None for the model's.
    limits:  how many memories a frame attends to.
    update_interval: prompted objects that move as expected are segmented every n-th frame; None for every frame, or
             as the bundle was tuned.
    target_fps: frames per second that a tuned bundle keeps; None for its settings throughout.
    untuned: ignore the bundle's tuned settings.
    removals: the objects that are removed before a frame, by frame.
    """

    cut: Mapping[str, Any]
    feed: FeedOptions
    policy: Policy | None
    patience: Patience
    concepts: tuple[Concept, ...]
    found_with: ConceptOptions
    non_overlapping: bool
    backend: BackendChoice
    state: Path | None
    state_every_s: float
    metrics: str | None
    view: str | None
    log_json: bool
    memory: str | None
    limits: MemoryLimits
    update_interval: int | None
    target_fps: float | None
    untuned: bool
    removals: Removals


@dataclass(frozen=True, slots=True)
class Order:
    """One source of the command line, numbered from 1, with its prompts, its outputs and the path of its state."""

    number: int
    spec: str
    schedule: Schedule
    outputs: Outputs
    state: Path | None


@dataclass(frozen=True, slots=True)
class Opened:
    """An order whose source is open. Its outputs are opened last, because that replaces existing files.

    state: from before a restart; None at a first start.
    """

    number: int
    source: Source
    outputs: Outputs
    schedule: Schedule
    prompts: PromptBook
    policy: Policy
    state: StreamState | None
    keeping: Keeping | None


def open_stream(
    order: Order, bundle: Bundle, options: RunOptions, log: Log, label: int | None, stack: ExitStack
) -> Opened | None:
    """Open an order's source, to be closed with the stack. Returns None if an earlier run already finished it.

    label: number in its log lines. Raises MaskletError if options contradict each other or it cannot be opened.
    """
    tell = partial(log.event, stream=label)
    keeping = _keeping(order, bundle, options)
    state = None
    if keeping is not None:
        memory = policy_text(policy_of(bundle.model, options.memory))
        state = load_state(keeping.path, keeping.bundle, keeping.source, memory, partial(tell, "state"))
    source = _open_source(order, options, state)
    if source is None:
        tell(
            "finished",
            f"{order.spec} was run to its end, nothing is left to do; to run it again, move {order.state} away",
        )
        return None
    stack.enter_context(source)
    source.tell = tell
    if source.about:
        tell("reader", source.about)
    finite = source.frames is not None
    policy = options.policy or (Policy.NEWEST if source.lossy else Policy.EVERY)
    prompts = _prompts(order.schedule, options, state, exact=finite and policy is Policy.EVERY)
    outputs = order.outputs if state is None else _continued(order, source, state, tell)
    check_frames_come(prompts.frames if finite else (), source)
    TrackingRequest(order.schedule, options.concepts).check_refinements(source)
    outputs.check_folders()
    return Opened(order.number, source, outputs, order.schedule, prompts, policy, state, keeping)


def _prompts(schedule: Schedule, options: RunOptions, state: StreamState | None, *, exact: bool) -> PromptBook:
    removals = _still_to_leave(options, state)
    if state is None:
        return PromptBook(schedule, exact=exact, removals=removals)
    given, live, names = state.given, state.live, state.names
    return PromptBook(schedule, exact=exact, given=given, live=live, names=names, removals=removals)


def _still_to_leave(options: RunOptions, state: StreamState | None) -> Removals:
    """The removals that an earlier run, if there was one, did not reach."""
    if state is None:
        return options.removals
    last, backwards = state.frame_index, bool(options.cut.get("reverse"))
    return {f: ids for f, ids in options.removals.items() if (f < last if backwards else f > last)}


def _keeping(order: Order, bundle: Bundle, options: RunOptions) -> Keeping | None:
    if order.state is None:
        return None
    seal = hashlib.sha256((bundle.root / MANIFEST).read_bytes()).hexdigest()
    return Keeping(order.state, options.state_every_s, seal, hide_password(order.spec))


def _open_source(order: Order, options: RunOptions, state: StreamState | None) -> Source | None:
    """The source with the frames that were not run yet; None if no frame of a file is left."""
    feed = replace(options.feed, newest=options.policy is not Policy.EVERY)
    source = open_source(order.spec, **options.cut, feed=feed)
    if state is None or source.frames is None:
        return source
    with source:  # only the opened file knows how many frames it has
        rest = cut_after(state, source, options.cut)
    return None if rest is None else open_source(order.spec, **rest, feed=feed)


def _continued(order: Order, source: Source, state: StreamState, tell: Callable[[str, str], None]) -> Outputs:
    """The outputs of a stream that is resumed; a live source numbers its frames after the last one written."""
    finite = source.frames is not None
    outputs, there = go_on_with(order.outputs, state, finite=finite)
    last = max(state.frame_index, -1 if there.frame is None else there.frame)
    if not finite:
        source.go_on(last + 1, max(state.time_s, there.time_s))
    tell("state", f"{order.state}: continues after frame {last}")
    return outputs
