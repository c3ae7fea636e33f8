"""A stream as viewers see it."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from masklet.runtime.concepts.concept import Concept
from masklet.runtime.errors import MaskletError
from masklet.runtime.pixels.overlay import css_colour
from masklet.runtime.prompts.prompt_book import PromptBook
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.streams.pace import Pace
from masklet.runtime.streams.steered_tracker import SteeredTracker
from masklet.runtime.streams.stream import Stream
from masklet.runtime.view.messages import ViewedObject, ViewedStream
from masklet.runtime.view.shown_frame import ShownFrame

RATE_FRAMES = 30  # over which the rate of frames is taken
STALE_S = 2.0  # a rate is 0 after so long without a frame


@dataclass(frozen=True, slots=True)
class Steering:
    """By what a stream is steered. pace: None where it cannot be paused."""

    stream: Stream
    tracker: SteeredTracker
    book: PromptBook
    pace: Pace | None


@dataclass(frozen=True, slots=True)
class _Sighting:
    """An object when it was last seen. unseen: frames since."""

    score: float
    phrase: str | None
    unseen: int


class WatchedStream:
    """A sink that keeps the newest frame, for viewers to come for it; a frame that nobody saw is replaced.

    on_frame:  called with each frame, by the thread that writes results.
    newest:    None before the first frame.
    concepts:  what is looked for; None where the model cannot.
    latency_s: from the newest frame's arrival to its masks; None before the first.
    """

    def __init__(
        self, number: int, on_frame: Callable[[], None], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.number, self._on_frame, self._clock = number, on_frame, clock
        self.newest: ShownFrame | None = None
        self.concepts: tuple[Concept, ...] | None = None
        self.latency_s: float | None = None
        self._steering: Steering | None = None
        self._sightings: dict[int, _Sighting] = {}
        self._times: deque[float] = deque(maxlen=RATE_FRAMES)

    def attach(self, steering: Steering, concepts: tuple[Concept, ...] | None) -> None:
        """Say by what the stream is steered, before its first frame."""
        self._steering, self.concepts = steering, concepts

    @property
    def steering(self) -> Steering:
        if self._steering is None:
            raise MaskletError(f"stream {self.number} has not begun yet")
        return self._steering

    def write(self, frame: Frame, result: FrameResult) -> None:
        now_s = self._clock()
        self._times.append(now_s)
        self._note_sightings(result)
        count = 1 if self.newest is None else self.newest.count + 1
        self.newest = ShownFrame(self.number, count, now_s, frame, result)
        self._on_frame()

    def close(self) -> None:
        """The newest frame stays to be seen."""

    def state(self) -> ViewedStream:
        """The stream as it is now; any thread may ask."""
        of, stream = self.steering, self.steering.stream
        counts, newest = stream.counts, self.newest
        return ViewedStream(
            number=self.number,
            name=stream.name,
            size=stream.source.size if newest is None else (newest.frame.hw[1], newest.frame.hw[0]),
            frames=stream.source.frames,
            frame=None if newest is None else newest.frame.index,
            ended=of.tracker.ended,
            error=None if stream.error is None else str(stream.error),
            silent_s=round(stream.silent_s, 1),
            objects=self._objects(),
            phrases=None if self.concepts is None else [one.name for one in self.concepts],
            paused=None if of.pace is None else of.pace.paused,
            real_time=None if of.pace is None else of.pace.real_time,
            can_undo=of.tracker.can_undo,
            prompts=list(of.book.live),
            frames_per_s=round(self._rate(), 2),
            latency_ms=None if self.latency_s is None else round(1e3 * self.latency_s, 1),
            captured=counts.captured,
            processed=counts.processed,
            dropped=counts.dropped,
            corrupt=counts.corrupt,
            reconnects=counts.reconnects,
        )

    def _note_sightings(self, result: FrameResult) -> None:
        """Count for each object the frames since it was seen; those that are no longer tracked leave."""
        tracked = set(self.steering.tracker.object_ids) | set(result.object_ids.tolist())
        seen = {i: _Sighting(s.score, s.phrase, s.unseen + 1) for i, s in self._sightings.items() if i in tracked}
        for row, object_id in enumerate(result.object_ids.tolist()):
            visible = result.boxes_xyxy[row, 2] > 0
            phrase = result.findings[row].phrase if result.findings else None
            unseen = 0 if visible else seen[object_id].unseen if object_id in seen else 1
            seen[object_id] = _Sighting(float(result.scores[row]), phrase, unseen)
        self._sightings = dict(sorted(seen.items()))

    def _objects(self) -> list[ViewedObject]:
        names = self.steering.book.names
        return [
            ViewedObject(
                id=i,
                name=names.get(i, ""),
                colour=css_colour(i),
                score=round(one.score, 4),
                visible=not one.unseen,
                unseen=one.unseen,
                phrase=one.phrase,
            )
            for i, one in self._sightings.items()
        ]

    def _rate(self) -> float:
        times = tuple(self._times)
        if len(times) < 2 or self._clock() - times[-1] > STALE_S:
            return 0.0
        return (len(times) - 1) / max(times[-1] - times[0], 1e-9)
