"""One point in closed loop: its masks against the exact pipeline's and true ones, and how long its frames take."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec
from masklet.calibration.clips.clips import Clip
from masklet.calibration.clips.truth import MaskLines
from masklet.calibration.scoring.closed_loop import Evaluation, Figures, judge
from masklet.calibration.tuning.models import Models
from masklet.calibration.tuning.point import Point
from masklet.runtime.backends.session import Feeds, Session, SessionAround
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.tracking.tracker import Tracker

Clock = Callable[[], float]  # seconds


class Times(msgspec.Struct, frozen=True):
    """Milliseconds of a frame, from its pixels to its masks, once memories are full.

    mean:    the median of the frames on which a stage ran and that of the frames on which none did (update interval),
             by their shares: an average that other work on the machine hardly moves.
    p95:     95 of 100 frames take at most that.
    decoded: the share of frames on which a stage ran.
    stages:  the part of each stage in the mean.
    """

    mean: float
    p95: float
    decoded: float
    frames: int
    stages: dict[str, float]


class Outcome(msgspec.Struct, frozen=True):
    """What a trial came to.

    proved:       on the clips that prove, not on those that are searched (`searched`, `proving`).
    predicted_ms: of a frame, before the point was first tried; None where nothing was known of it.
    threads:      of each stage, where fewer are as fast as those of the search; then times are with these.
    """

    point: Point
    figures: Figures
    times: Times
    proved: bool
    predicted_ms: float | None = None
    threads: int | None = None

    @property
    def by(self) -> str:
        """What its accuracy is measured by: "J&F" with true masks, "IoU" with the exact pipeline's otherwise."""
        return "IoU" if self.figures.jf is None else "J&F"

    @property
    def loss(self) -> float:
        """Points of 100 lost against the exact pipeline."""
        return 100 * (1 - self.figures.iou) if self.figures.drop is None else self.figures.drop


@dataclass
class Trial:
    """Runs points over clips.

    exact: masks of the exact pipeline for each clip.
    """

    models: Models
    clips: Sequence[Clip]
    exact: Sequence[MaskLines]
    clock: Clock = time.perf_counter

    def run(self, point: Point, *, proved: bool, progress: Callable[[int], None]) -> tuple[Outcome, Evaluation]:
        """Run a point over the clips that prove, or over those that are searched. progress: called with frames done."""
        clips = proving(self.clips) if proved else searched(self.clips)
        exact = self.exact[-len(clips) :] if proved else self.exact[: len(clips)]
        timed: list[TimedFrames] = []
        with self.models.open(point, lambda session: timed_session(session, timed, self.clock)) as sessions:

            def frames(clip: Clip) -> Iterator[tuple[Frame, FrameResult]]:
                timed.append(TimedFrames())
                return timed[-1].follow(tracker_of(point, clip, sessions), clip, self.clock)

            found = judge(clips, exact, frames, progress)
        filled = 1 + (sessions.model.memory.recent_frames if sessions.model.memory else 0)
        return Outcome(point, found.figures, times_of(timed, filled), proved), found


def tracker_of(point: Point, clip: Clip, sessions: Sessions) -> Tracker:
    """The tracker of a clip with a point's settings."""
    found_with = replace(clip.found_with, detection_interval=point.detection)
    return replace(clip, found_with=found_with).wanted.tracker(sessions, point.options)


def proving(clips: Sequence[Clip]) -> list[Clip]:
    """The clips that prove what a search has found: those that were not searched, or all of a single clip."""
    return list(clips[len(searched(clips)) :]) if len(clips) > 1 else list(clips)


def searched(clips: Sequence[Clip]) -> list[Clip]:
    """The clips that are searched: the first third; of a single clip the first third of its frames, at least ten."""
    if len(clips) > 1:
        return list(clips[: -(-len(clips) // 3)])
    (clip,) = clips
    with clip.open() as source:
        length = source.frames
    if length is None:
        return [clip]
    last = max(clip.schedule, default=clip.first_frame)
    stop = max(clip.first_frame + max(10, length // 3) * int(clip.cut.get("stride", 1)), last + 2)
    end = clip.cut.get("end")
    return [replace(clip, cut={**clip.cut, "end": stop if end is None else min(stop, end)})]


class TimedFrames:
    """The frames of a run, timed: seconds of each, and of its stages."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.stages: list[dict[str, float]] = []

    def follow(self, tracker: Tracker, clip: Clip, clock: Clock) -> Iterator[tuple[Frame, FrameResult]]:
        """Run the frames of a clip through a tracker."""
        pending = dict(clip.schedule)
        with clip.open() as source:
            for frame in source:
                self.stages.append({})
                begun = clock()
                results = [(due.frame, due.result()) for due in tracker.advance(frame, pending.pop(frame.index, None))]
                self.seconds.append(clock() - begun)
                yield from results
            yield from ((due.frame, due.result()) for due in tracker.late())

    def settled(self, filled: int) -> list[tuple[float, dict[str, float]]]:
        """The frames after the memories were filled, if that is half of them; else all but the first."""
        first = filled if len(self.seconds) >= 2 * filled else 1
        return list(zip(self.seconds, self.stages, strict=True))[first:]


def timed_session(session: Session, frames: Sequence[TimedFrames], clock: Clock) -> Session:
    """A session around a session, whose calls are timed for the present frame of the last of `frames`."""
    return _Timed(session, frames, clock)


class _Timed(SessionAround):
    """Adds the time of a stage's calls to the present frame."""

    def __init__(self, session: Session, frames: Sequence[TimedFrames], clock: Clock) -> None:
        super().__init__(session)
        self._frames, self._clock = frames, clock

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        begun = self._clock()
        outputs = super().run(feeds)
        if self._frames and self._frames[-1].stages:
            present, name = self._frames[-1].stages[-1], self.spec.name
            present[name] = present.get(name, 0.0) + self._clock() - begun
        return outputs


def times_of(timed: Sequence[TimedFrames], filled: int) -> Times:
    """The times of several clips."""
    settled = [frame for one in timed for frame in one.settled(filled)]
    ran = [(seconds, stages) for seconds, stages in settled if stages]
    idle = [seconds for seconds, stages in settled if not stages]
    share = len(ran) / max(len(settled), 1)
    every = sorted(seconds for seconds, _ in settled) or [0.0]
    names = dict.fromkeys(name for _, stages in ran for name in stages)
    return Times(
        mean=1e3 * (share * _median(seconds for seconds, _ in ran) + (1 - share) * _median(idle)),
        p95=1e3 * every[min(len(every) - 1, int(0.95 * len(every)))],
        decoded=share,
        frames=len(settled),
        stages={name: 1e3 * share * _median(stages.get(name, 0.0) for _, stages in ran) for name in names},
    )


def with_threads(outcome: Outcome, threads: int, ratio: float) -> Outcome:
    """An outcome with another number of threads. ratio: of a frame's time with them to that without."""
    times = outcome.times
    stages = {name: ratio * ms for name, ms in times.stages.items()}
    times = msgspec.structs.replace(times, mean=ratio * times.mean, p95=ratio * times.p95, stages=stages)
    return msgspec.structs.replace(outcome, times=times, threads=threads)


def _median(values: Iterable[float]) -> float:
    return statistics.median([*values] or [0.0])
