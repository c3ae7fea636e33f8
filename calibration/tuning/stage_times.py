"""How long each stage of a model takes on each backend that is here, measured on the inputs of a real frame."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing

import msgspec
import numpy as np
from masklet.calibration.clips.clips import Clip
from masklet.calibration.tuning.models import Key, Models
from masklet.calibration.tuning.point import Point
from masklet.calibration.tuning.trial import TimedFrames, tracker_of
from masklet.runtime.backends.known import backend_kinds
from masklet.runtime.backends.placement.candidates import Candidate, Forms
from masklet.runtime.backends.session import Feeds, Session, SessionAround
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.errors import MaskletError

ROUNDS, SECONDS = 5, 2.0  # calls of each form, taking turns, and for how long at most
HOPELESS = 2.0  # times as slow as the fastest: not timed again
ATTENTION = "memory_attention"
Clock = Callable[[], float]  # seconds


class FormTimes(msgspec.Struct, frozen=True):
    """A stage on one backend. bf16: it computes in bfloat16 where the graph is FP32.

    by_tokens: milliseconds by tokens of memory that are attended, for memory attention; else one entry at 0.
    """

    name: str
    bf16: bool
    by_tokens: list[tuple[int, float]]

    def ms(self, tokens: int) -> float:
        """Milliseconds at a number of tokens: on the line between the nearest that were measured, or beyond them."""
        known, taken = (np.array(values, float) for values in zip(*self.by_tokens, strict=True))
        if len(known) == 1:
            return float(taken[0])
        at = int(np.clip(np.searchsorted(known, tokens), 1, len(known) - 1))
        slope = (taken[at] - taken[at - 1]) / (known[at] - known[at - 1])
        return float(max(taken[at - 1] + slope * (tokens - known[at - 1]), 0.0))


class ModelTimes(msgspec.Struct, frozen=True):
    """A variant of a model: its stages on each backend, and the host's part of a frame.

    memories: attended when the bank is full. tokens: of each of them; 0 where the detail decides.
    idle_ms:  a frame on which no stage runs.
    """

    stages: dict[str, list[FormTimes]]
    host_ms: float
    idle_ms: float
    memories: int
    recent: int


def measure(models: Models, key: Key, clip: Clip, progress: Callable[[str], None], clock: Clock) -> ModelTimes:
    """Run a clip until memories are full, then time every stage on every backend on the inputs of the last frame."""
    number, form = key
    bundle = models.bundle(key)
    model = bundle.model
    recent = model.memory.recent_frames if model.memory else 0
    kept: dict[str, Feeds] = {}
    timed = [TimedFrames()]
    detail = "whole" if model.token_memory else None
    with models.open(Point(form, number, detail=detail), lambda s: _Kept(s, kept, timed[0], clock)) as sessions:
        tracker = tracker_of(Point(form, number, detail=detail), clip, sessions)
        for done, _ in enumerate(timed[0].follow(tracker, clip, clock)):
            if done > recent + 2:
                break
    forms = Forms({name: kind for name, kind in backend_kinds().items() if not kind.made_of_others}, models.threads)
    stages = {}
    for stage in model.stages:
        if stage.name in kept:
            progress(f"{form}: {stage.name}")
            stages[stage.name] = _forms(forms, bundle, stage, kept[stage.name], clock)
    settled = timed[0].settled(recent + 1)
    host = statistics.median(seconds - sum(by_stage.values()) for seconds, by_stage in settled)
    memories = kept[ATTENTION]["memory"].shape[1] if ATTENTION in kept else 0
    return ModelTimes(stages, 1e3 * max(host, 0.0), 1e3 * max(host, 0.0), memories, recent)


def _forms(forms: Forms, bundle: Bundle, stage: StageSpec, feeds: Feeds, clock: Clock) -> list[FormTimes]:
    """The times of a stage on every backend that can run it."""
    own = {artifact.precision for artifact in bundle.manifest.artifacts if artifact.stage == stage.name}
    candidates: list[Candidate] = []
    found: dict[str, list[tuple[int, float]]] = {}
    with ExitStack() as stack:
        sessions: dict[str, Session] = {}
        for form in forms.all():
            try:
                candidate = forms.candidate(form, bundle, stage)
                if candidate.precision in {*own, Precision.BF16, Precision.INT8_BF16}:
                    sessions[form.name] = stack.enter_context(closing(candidate.backend.open(bundle, stage)))
                    candidates.append(candidate)
            except MaskletError:
                continue  # not installed here, or nothing in the bundle for it
        for tokens, sized in _sizes(stage, feeds):
            for name, ms in _turns(sessions, sized, clock).items():
                found.setdefault(name, []).append((tokens, ms))
    return [
        FormTimes(candidate.form.name, candidate.precision not in own, found[candidate.form.name])
        for candidate in candidates
        if candidate.form.name in found
    ]


def _sizes(stage: StageSpec, feeds: Feeds) -> Iterator[tuple[int, Feeds]]:
    """The inputs of a stage at several numbers of tokens of memory, the most last; just one of other stages."""
    if stage.name != ATTENTION:
        yield 0, feeds
        return
    count, tokens = feeds["memory"].shape[1:3]
    for memories, kept in sorted({(2, -(-tokens // 4)), (max(2, count // 2), tokens), (count, tokens)}):
        few = min(memories, count)
        sized = {
            name: feed[:, :few] if name in ("memory", "memory_time", "memory_place") else feed
            for name, feed in feeds.items()
        }
        if stage.accepts("memory_place"):
            sized["memory"], sized["memory_place"] = sized["memory"][:, :, :kept], sized["memory_place"][:, :, :kept]
        yield few * sized["memory"].shape[2], {name: np.ascontiguousarray(feed) for name, feed in sized.items()}


def _turns(sessions: Mapping[str, Session], feeds: Feeds, clock: Clock) -> dict[str, float]:
    """Median milliseconds of sessions that take turns; those that fail are left out."""
    times: dict[str, list[float]] = {}
    for name, session in sessions.items():
        try:
            session.run(feeds)  # may compile
            times[name] = [_once(session, feeds, clock)]
        except MaskletError:
            continue
    fastest = min((each[0] for each in times.values()), default=0.0)
    near = [name for name, each in times.items() if each[0] <= HOPELESS * fastest]
    begun = clock()
    for _ in range(ROUNDS):
        if clock() - begun > SECONDS:
            break
        for name in near:
            times[name].append(_once(sessions[name], feeds, clock))
    return {name: 1e3 * statistics.median(each) for name, each in times.items()}


def _once(session: Session, feeds: Feeds, clock: Clock) -> float:
    begun = clock()
    for output in session.run(feeds).values():
        np.asarray(output)  # waits for what was left on a device
    return clock() - begun


class _Kept(SessionAround):
    """Keeps the latest inputs of a stage, and times its calls."""

    def __init__(self, session: Session, kept: dict[str, Feeds], frames: TimedFrames, clock: Clock) -> None:
        super().__init__(session)
        self._kept, self._frames, self._clock = kept, frames, clock

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        name, begun = self.spec.name, self._clock()
        outputs = super().run(feeds)
        if self._frames.stages:
            present = self._frames.stages[-1]
            present[name] = present.get(name, 0.0) + self._clock() - begun
        self._kept[name] = {key: np.array(feed) for key, feed in feeds.items()}
        return outputs


def fastest(times: ModelTimes, *, bf16: bool) -> dict[str, str]:
    """The backend of each stage at which it is fastest with full memories. bf16: whether it may compute in that."""
    chosen = {}
    for stage, forms in times.stages.items():
        allowed: Sequence[FormTimes] = [form for form in forms if bf16 or not form.bf16]
        if allowed:
            chosen[stage] = min(allowed, key=lambda form: form.by_tokens[-1][1]).name
    return {} if set(chosen.values()) <= {"onnxruntime"} else chosen
