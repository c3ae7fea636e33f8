"""Records the ordinary pipeline through wrapped sessions, a wrapped source and a wrapped sink.

    recorder = Recorder()
    sessions = Sessions.open(bundle, wrap=recorder.wrap)
    sink = recorder.sink(sinks)
    for frame, result in follow(VideoTracker(sessions), recorder.frames(source), schedule):
        sink.write(frame, result)
    recorder.frames_recorded

The runtime needs no hook for this. The host's work between sessions follows from the gaps (phases.py).
"""

import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, Protocol

from masklet.runtime.backends.session import Feeds, Session, SessionAround
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.errors import MaskletError
from masklet.runtime.results import Frame, FrameResult

Clock = Callable[[], int]  # monotonic, in nanoseconds
RssMeter = Callable[[], int | None]  # current resident bytes of this process; None if unknown
RSS_EVERY_NS = 50_000_000
Sizes = Mapping[str, int]  # a stage's symbols ("objects", "memories", ...) and their sizes in one call


class Writes(Protocol):
    """Anything that results are written to: one sink, or several."""

    def write(self, frame: Frame, result: FrameResult) -> None: ...


class Call(NamedTuple):
    """One call of one stage, in nanoseconds of the clock."""

    stage: str
    began_ns: int
    ended_ns: int
    sizes: Sizes


@dataclass(frozen=True, slots=True)
class FrameTimes:
    """The times of one frame in the pipeline, in nanoseconds of the clock.

    index:       index of the frame in its source.
    asked_ns:    the frame was requested from the source.
    captured_ns: the source delivered it.
    masks_ns:    the tracker returned its masks, or the delayed masks of an earlier frame; capture-to-masks ends here.
    done_ns:     the sinks have written them.
    objects:     number of objects in the result; 0 if no result was due.
    rss_bytes:   resident memory, as last read.
    Raises MaskletError if the times are not in order, for example if two trackers share a recorder.
    """

    index: int
    asked_ns: int
    captured_ns: int
    masks_ns: int
    done_ns: int
    calls: tuple[Call, ...]
    objects: int
    rss_bytes: int | None

    def __post_init__(self) -> None:
        now_ns, in_order = self.captured_ns, self.asked_ns <= self.captured_ns
        for call in self.calls:
            in_order = in_order and now_ns <= call.began_ns <= call.ended_ns
            now_ns = call.ended_ns
        if not (in_order and now_ns <= self.masks_ns <= self.done_ns):
            raise MaskletError(f"frame {self.index}: its times are not in order; record one stream at a time")

    @property
    def capture_to_mask_ns(self) -> int:
        return self.masks_ns - self.asked_ns

    @property
    def total_ns(self) -> int:
        return self.done_ns - self.asked_ns

    @property
    def memories(self) -> int:
        """Number of memory frames attended to: the maximum over calls of memory attention, 0 if it was not run."""
        return max((call.sizes.get("memories", 0) for call in self.calls), default=0)


class ResidentMemory:
    """Current resident bytes of this process (Linux; None elsewhere). Keeps the file open, so that reading is quick."""

    def __init__(self) -> None:
        self._file: BinaryIO | None = None
        with suppress(OSError):  # other systems do not have this file
            self._file = open("/proc/self/statm", "rb", buffering=0)  # noqa: SIM115 lives as long as its owner
        self._page = os.sysconf("SC_PAGE_SIZE")

    def __call__(self) -> int | None:
        if self._file is None:
            return None
        return int(os.pread(self._file.fileno(), 256, 0).split()[1]) * self._page


def peak_resident_bytes() -> int:
    """Peak resident bytes of this process, including loading."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Recorder:
    """Records frames through the objects it wraps (overhead: benchmarks/profile_overhead.md).

    Between stages it only stores clock readings and sizes; `frames_recorded` evaluates them later.

    clock, rss: injected by tests. Memory is read after a frame is done, outside of timed code, and at most every
                RSS_EVERY_NS, since it is the most expensive part.
    """

    def __init__(self, clock: Clock = time.perf_counter_ns, rss: RssMeter | None = None) -> None:
        self.clock = clock
        self._rss = rss or ResidentMemory()
        self._rss_bytes: int | None = None
        self._rss_read_ns: int | None = None
        self._asked_ns = self._captured_ns = 0
        self._present: int | None = None  # index of the frame that has not ended
        self._calls: list[_RawCall] = []
        self._raw: list[_RawFrame] = []
        self._frames: list[FrameTimes] = []

    @property
    def frames_recorded(self) -> list[FrameTimes]:
        """All frames recorded so far."""
        self._frames += [_frame_times(*raw) for raw in self._raw]
        self._raw.clear()
        return self._frames

    def wrap(self, session: Session) -> "RecordedSession":
        """Record every call of a session; pass this to `Sessions.open`."""
        return RecordedSession(session, self)

    def frames(self, source: Iterable[Frame]) -> Iterator[Frame]:
        """The same frames; records when each is requested and when it comes."""
        frames = iter(source)
        while True:
            if self._present is not None:  # its result comes with a later frame
                now_ns = self.clock()
                self.finished(0, now_ns, now_ns)
            asked_ns = self.clock()
            frame = next(frames, None)
            if frame is None:
                return
            self._asked_ns, self._captured_ns = asked_ns, self.clock()
            self._present, self._calls = frame.index, []
            yield frame

    def sink(self, sink: Writes) -> "RecordedSink":
        """The same sink; a write ends the current frame, whether the result is of this frame or of an earlier one."""
        return RecordedSink(sink, self)

    def called(self, call: "_RawCall") -> None:
        """Record a call of a stage on the current frame."""
        self._calls.append(call)

    def finished(self, objects: int, masks_ns: int, done_ns: int) -> None:
        """Record the end of the current frame, unless it has ended."""
        if self._present is None:
            return
        if self._rss_read_ns is None or done_ns - self._rss_read_ns >= RSS_EVERY_NS:
            self._rss_bytes, self._rss_read_ns = self._rss(), done_ns
        moments = (self._asked_ns, self._captured_ns, masks_ns, done_ns)
        self._raw.append((self._present, moments, self._calls, objects, self._rss_bytes))
        self._present = None


class RecordedSession(SessionAround):
    """Wraps a session and records start, end and shapes of each call."""

    def __init__(self, session: Session, recorder: Recorder) -> None:
        super().__init__(session)
        self._recorder = recorder
        self._names = [tensor.name for tensor in session.spec.inputs if any(isinstance(s, str) for s in tensor.shape)]

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        clock = self._recorder.clock
        began_ns = clock()
        outputs = super().run(feeds)
        ended_ns = clock()
        self._recorder.called((self.spec, began_ns, ended_ns, [feeds[name].shape for name in self._names]))
        return outputs


class RecordedSink:
    """Wraps a sink and records start and end of each write."""

    def __init__(self, sink: Writes, recorder: Recorder) -> None:
        self._sink = sink
        self._recorder = recorder

    def write(self, frame: Frame, result: FrameResult) -> None:
        masks_ns = self._recorder.clock()
        self._sink.write(frame, result)
        self._recorder.finished(len(result), masks_ns, self._recorder.clock())


_RawCall = tuple[StageSpec, int, int, list[tuple[int, ...]]]  # shapes of the inputs that have symbols
_RawFrame = tuple[int, tuple[int, int, int, int], list[_RawCall], int, int | None]


def _frame_times(
    index: int, moments: tuple[int, int, int, int], calls: list[_RawCall], objects: int, rss: int | None
) -> FrameTimes:
    return FrameTimes(index, *moments, tuple(_call(*call) for call in calls), objects, rss)


def _call(spec: StageSpec, began_ns: int, ended_ns: int, shapes: list[tuple[int, ...]]) -> Call:
    sizes: dict[str, int] = {}
    sized = [tensor for tensor in spec.inputs if any(isinstance(s, str) for s in tensor.shape)]
    for tensor, shape in zip(sized, shapes, strict=True):
        tensor.bind(shape, sizes)
    return Call(spec.name, began_ns, ended_ns, sizes)
