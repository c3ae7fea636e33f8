"""Measures how the cost of a frame grows with the number of objects and of memory frames.

The ordinary tracker runs over the first frames of the source, once for each number of objects, with copies of the
prompt. Frame t after the prompt attends to t memory frames, up to the model's limit, so one pass covers all numbers of
memory frames and gives one frame of each. Passes with different numbers of objects alternate, LEAST_ROUNDS times at
least, then until MOST_ROUNDS are done or BUDGET_S has passed.
"""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import msgspec
import numpy as np
from masklet.profiles.recording.phases import HOST, totals
from masklet.profiles.recording.statistics import median
from masklet.profiles.recording.timeline import FrameTimes, Recorder
from masklet.runtime.bundle.spec import ModelSpec
from masklet.runtime.errors import MaskletError
from masklet.runtime.prompts.prompts import Prompt
from masklet.runtime.results import Frame
from masklet.runtime.tracking.video_tracker import VideoTracker

LEAST_ROUNDS, MOST_ROUNDS = 5, 15
BUDGET_S = 60.0
_AXIS = re.compile(r"(objects|memory)=(\d+(?:,\d+)*)")


class Sweep(msgspec.Struct, frozen=True):
    """Numbers of objects and of memory frames to measure; empty for an axis that was not given."""

    objects: tuple[int, ...] = ()
    memory: tuple[int, ...] = ()


class Point(msgspec.Struct, frozen=True):
    """Medians at one size. `frame_ms` is from preprocessing to masks, without capture.

    spread_ms: the interquartile range of `frame_ms`; None in older reports.
    """

    objects: int
    memories: int
    frames: int
    frame_ms: float
    host_ms: float
    stages_ms: dict[str, float]
    spread_ms: float | None = None


class Growth(msgspec.Struct, frozen=True):
    """Measured points, and straight lines fitted to them by least squares.

    per_object_ms: cost of one more object at the largest number of memory frames, in addition to fixed_ms.
    per_memory_ms: cost of one more memory frame at the largest number of objects. None with fewer than two sizes.
    """

    points: tuple[Point, ...]
    fixed_ms: float | None
    per_object_ms: float | None
    per_memory_ms: float | None


def is_axis(text: str) -> bool:
    """Whether a word of the command line is an axis of a sweep."""
    return text.startswith(("objects=", "memory="))


def parse_sweep(texts: Iterable[str]) -> Sweep:
    """Parse `objects=1,2,4,8` and `memory=1,3,7`, in one text or several. Raises MaskletError for anything else."""
    axes: dict[str, tuple[int, ...]] = {}
    for word in (word for text in texts for word in text.split()):
        match = _AXIS.fullmatch(word)
        sizes = tuple(sorted({int(size) for size in match.group(2).split(",")})) if match else ()
        if match is None or 0 in sizes:
            raise MaskletError(f"--sweep {word}: expected objects=1,2,4 or memory=1,3,7, whole numbers from 1")
        if match.group(1) in axes:
            raise MaskletError(f"--sweep {word}: {match.group(1)} is given twice")
        axes[match.group(1)] = sizes
    return Sweep(**axes)


def check_sweep(sweep: Sweep, model: ModelSpec, frames: int | None) -> Sweep:
    """Complete a sweep with defaults: one object, and the number of memory frames that the model attends to.

    frames: number of frames of the source; None if unknown. Raises MaskletError if a size cannot be reached.
    """
    if model.memory is None:
        raise MaskletError(f"--sweep: {model.family}/{model.variant} segments images and has no memory")
    limit = 1 + model.memory.recent_frames
    memory, objects = sweep.memory or (limit,), sweep.objects or (1,)
    if max(memory) > limit:
        raise MaskletError(
            f"--sweep memory={max(memory)}: with one prompted frame the model attends to {limit} at most"
        )
    if frames is not None and frames <= max(memory):
        raise MaskletError(
            f"--sweep memory={max(memory)}: needs {max(memory) + 1} frames, the source gives {frames}; sweep fewer"
        )
    return Sweep(objects, memory)


def grow(
    tracker: Callable[[], VideoTracker],
    recorder: Recorder,
    frames: Iterable[Frame],
    prompts: Sequence[Prompt],
    sweep: Sweep,
    budget_s: float = BUDGET_S,
) -> Growth:
    """Run a sweep that was checked.

    tracker: makes a new tracker on sessions that `recorder` has wrapped.
    prompts: for the first frame, used in turn.
    budget_s: time after which no new round begins, once LEAST_ROUNDS are done.
    Raises MaskletError if the source ends too early.
    """
    began_s = time.monotonic()
    clip = list(islice(frames, max(sweep.memory) + 1))
    if len(clip) <= max(sweep.memory):
        raise MaskletError(f"--sweep memory={max(sweep.memory)}: the source ended after {len(clip)} frames")
    found: dict[tuple[int, int], list[FrameTimes]] = {}
    for done in range(MOST_ROUNDS):
        if done >= LEAST_ROUNDS and time.monotonic() - began_s > budget_s:
            break
        for objects in sweep.objects:
            for times in _pass(tracker(), recorder, clip, prompts, objects):
                if times.memories in sweep.memory:
                    found.setdefault((objects, times.memories), []).append(times)
    return fit([point(objects, memories, times) for (objects, memories), times in sorted(found.items())])


def point(objects: int, memories: int, frames: Sequence[FrameTimes]) -> Point:
    """The medians of the frames of one size."""
    by_frame = [totals(frame) for frame in frames]
    stages = dict.fromkeys(call.stage for frame in frames for call in frame.calls)
    frame_ms = [(frame.masks_ns - frame.captured_ns) / 1e6 for frame in frames]
    return Point(
        objects,
        memories,
        len(frames),
        frame_ms=median(frame_ms),
        host_ms=median([sum(by_name.get(name, 0) for name in HOST) for by_name in by_frame]) / 1e6,
        stages_ms={name: median([by_name.get(name, 0) for by_name in by_frame]) / 1e6 for name in stages},
        spread_ms=float(np.subtract(*np.percentile(frame_ms, (75, 25)))),
    )


def fit(points: Sequence[Point]) -> Growth:
    """Fit straight lines to the points."""
    most_memories = max(p.memories for p in points)
    most_objects = max(p.objects for p in points)
    fixed, per_object = _line([(p.objects, p.frame_ms) for p in points if p.memories == most_memories])
    _, per_memory = _line([(p.memories, p.frame_ms) for p in points if p.objects == most_objects])
    return Growth(tuple(points), fixed, per_object, per_memory)


def _line(xy: Sequence[tuple[int, float]]) -> tuple[float | None, float | None]:
    """Intercept and slope; None for fewer than two points."""
    if len(xy) < 2:
        return None, None
    slope, intercept = np.polyfit([x for x, _ in xy], [y for _, y in xy], 1).tolist()
    return intercept, slope


def _pass(
    tracker: VideoTracker, recorder: Recorder, clip: Sequence[Frame], prompts: Sequence[Prompt], objects: int
) -> list[FrameTimes]:
    """Track copies of the prompts through the clip and return the recorded frames."""
    first = len(recorder.frames_recorded)
    sink = recorder.sink(_Nowhere())
    copies = {object_id: prompts[(object_id - 1) % len(prompts)] for object_id in range(1, objects + 1)}
    for position, frame in enumerate(recorder.frames(clip)):
        sink.write(frame, tracker.step(frame, copies if position == 0 else {}))
    return recorder.frames_recorded[first:]


class _Nowhere:
    """A sink that discards results."""

    def write(self, frame: Frame, result: object) -> None:
        pass
