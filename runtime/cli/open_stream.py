"""A source of the command line, opened: its frames, its outputs, and what is known of it from before a restart."""

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import MANIFEST
from masklet.runtime.concepts.concept import Concept
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.prompts.prompt_book import PromptBook
from masklet.runtime.prompts.prompts import Schedule
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


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run.

    cut:     which frames, as `open_source` takes them (start, end, stride, max_side, reverse).
    concepts: what to look for, and how; none where all objects are prompted.
    policy:  every frame of files and raw frames, the newest of cameras, where None.
    state:   where streams keep their state, every `state_every_s` seconds; None for nowhere.
    metrics: [HOST:]PORT to serve figures at; None for none.
    """

    cut: Mapping[str, Any]
    feed: FeedOptions
    policy: Policy | None
    patience: Patience
    concepts: tuple[Concept, ...]
    found_with: ConceptOptions
    non_overlapping: bool
    backend: BackendChoice
    check_hashes: bool
    state: Path | None
    state_every_s: float
    metrics: str | None
    log_json: bool


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
    """An order whose source is open. Its outputs are opened when all else is: what they replace is lost then.

    state: from before a restart, None for a start.
    """

    number: int
    source: Source
    outputs: Outputs
    prompts: PromptBook
    policy: Policy
    state: StreamState | None
    keeping: Keeping | None


def open_stream(
    order: Order, bundle: Bundle, options: RunOptions, log: Log, label: int | None, stack: ExitStack
) -> Opened:
    """Open an order's source, to be closed with the stack.

    label: what its log lines are numbered with. Raises MaskletError where it does not go together or cannot be opened.
    """
    seal = hashlib.sha256((bundle.root / MANIFEST).read_bytes()).hexdigest()
    keeping = state = None
    if order.state is not None:
        keeping = Keeping(order.state, options.state_every_s, seal, hide_password(order.spec))
        state = load_state(order.state, seal, keeping.source, lambda detail: log.event("state", detail, stream=label))
    source = open_source(order.spec, **options.cut, feed=options.feed)
    stack.enter_context(source)
    finite, outputs = source.frames is not None, order.outputs
    policy = options.policy or (Policy.NEWEST if source.lossy else Policy.EVERY)
    given = () if state is None else state.given
    prompts = PromptBook(order.schedule, exact=finite and policy is Policy.EVERY, given=given)
    if state is not None and order.state is not None:
        outputs, there = go_on_with(outputs, state, finite=finite)
        last = max(state.frame_index, -1 if there.frame is None else there.frame)
        if finite:
            source = open_source(order.spec, **cut_after(state, order.state, source, options.cut))
        else:
            source.go_on(last + 1, max(state.time_s, there.time_s))
        log.event("state", f"{order.state}: goes on after frame {last}", stream=label)
    check_frames_come(prompts.frames if finite else (), source)
    TrackingRequest(order.schedule, options.concepts).check_refinements(source)
    outputs.check_folders()
    source.tell = lambda what, detail: log.event(what, detail, stream=label)
    return Opened(order.number, source, outputs, prompts, policy, state, keeping)
