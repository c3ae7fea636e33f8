"""The exact pipeline over all clips: the masks that every point is compared with, and its own figures."""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
from masklet.calibration.clips.clips import Clip, check_phrases
from masklet.calibration.clips.truth import MaskLines
from masklet.calibration.progress import Tell
from masklet.calibration.scoring.closed_loop import judge, lost_by_fp32
from masklet.calibration.tuning.models import Models
from masklet.calibration.tuning.trial import Clock, Outcome, TimedFrames, Times, timed_session, times_of, tracker_of
from masklet.runtime.errors import CalibrationError
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sinks.json_lines import MasksJsonl

SHARE = 0.5  # of the time that the exact pipeline may take: the search has the rest
PACED = 3  # frames after the first from which its pace is known


class ExactMasks:
    """Masks of the exact pipeline in a folder, by clip; those that are there of the same request are not made again."""

    def __init__(self, folder: Path, clips: Sequence[Clip]) -> None:
        self._folder, self._clips = folder, clips

    def path(self, number: int) -> Path:
        """The masks of a clip."""
        return self._folder / f"exact-{number}.jsonl"

    @property
    def _times_path(self) -> Path:
        return self._folder / "exact-times.json"

    def forget(self) -> None:
        """Drop what is there: it is of another request."""
        self._times_path.unlink(missing_ok=True)

    def record(
        self,
        models: Models,
        tell: Tell,
        minutes: float = math.inf,
        announce: Callable[[str], None] = lambda line: None,
        clock: Clock = time.perf_counter,
    ) -> None:
        """Run the exact pipeline over the clips, unless that was done.

        minutes:  of the whole search. announce: is told beforehand how long it will take.
        Raises CalibrationError where the folder cannot be written, and as soon as it is foreseen to take more than its
        share of the time.
        """
        if self._times_path.exists():
            return
        point, timed, pace = models.exact, list[TimedFrames](), _Pace(self._clips, minutes, announce)
        with models.open(point, lambda session: timed_session(session, timed, clock)) as sessions:
            for number, clip in enumerate(self._clips):
                timed.append(TimedFrames())
                with MasksJsonl(self.path(number)) as sink:
                    frames = timed[-1].follow(tracker_of(point, clip, sessions), clip, clock)
                    for done, (frame, result) in enumerate(frames):
                        sink.write(frame, result)
                        pace.note(timed[-1].seconds[-1])
                        tell(f"the exact pipeline, clip {number + 1} of {len(self._clips)}", done + 1, None)
            filled = 1 + (sessions.model.memory.recent_frames if sessions.model.memory else 0)
        try:
            self._times_path.write_bytes(msgspec.json.encode(times_of(timed, filled)))
        except OSError as error:
            raise CalibrationError(f"{self._times_path}: cannot be written: {error.strerror or error}") from None

    def masks(self) -> list[MaskLines]:
        """The masks of each clip."""
        return [MaskLines(self.path(number)) for number in range(len(self._clips))]

    def outcome(self, models: Models) -> Outcome:
        """The figures of the exact pipeline: its masks against themselves, and against true ones.

        Raises CalibrationError where it lost the objects, so that agreement with it would prove nothing.
        """
        masks = self.masks()
        check_phrases(self._clips, masks)
        numbers = {clip.source: number for number, clip in enumerate(self._clips)}

        def frames(clip: Clip) -> Iterator[tuple[Frame, FrameResult]]:
            with clip.open() as source:
                for frame in source:
                    yield frame, masks[numbers[clip.source]].result(frame.index, frame.hw)

        figures = judge(self._clips, masks, frames, lambda done: None).figures
        why = lost_by_fp32(figures)
        if why is not None:
            raise CalibrationError(
                f"{why.replace('FP32 itself', 'the exact pipeline')}, so that nothing can be judged by it; prompt the "
                "objects better, or take other clips"
            )
        times = msgspec.json.decode(self._times_path.read_bytes(), type=Times)
        return Outcome(models.exact, figures, times, proved=True)


class _Pace:
    """How long the exact pipeline will take over clips, after each frame; and whether there is time for that."""

    def __init__(self, clips: Sequence[Clip], minutes: float, announce: Callable[[str], None]) -> None:
        self._frames, self._minutes, self._announce = _frames_of(clips), minutes, announce
        self._seconds: list[float] = []

    def note(self, seconds: float) -> None:
        """Take up the time of a frame. Raises CalibrationError where the clips are too long for the time."""
        self._seconds.append(seconds)
        done = len(self._seconds)
        if done <= PACED:
            return
        recent = statistics.median(self._seconds[1:][-2 * PACED :])
        needed = (sum(self._seconds) + max(0, (self._frames or done) - done) * recent) / 60
        takes = f"takes about {1e3 * recent:.1f} ms a frame, {needed:.1f} of {self._minutes:g} minutes"
        if needed > SHARE * self._minutes:
            least = math.ceil(10 * needed / SHARE) / 10
            raise CalibrationError(
                f"the exact pipeline alone {takes} over {self._frames or 'so many'} frames: give --minutes {least:g} "
                "or more, or shorten the clips with --end"
            )
        if done == PACED + 1:
            self._announce(f"the exact pipeline {takes} for all; the search has the rest")


def _frames_of(clips: Sequence[Clip]) -> int | None:
    """The frames of all clips; None where a source does not say."""
    count = 0
    for clip in clips:
        with clip.open() as source:
            if source.frames is None:
                return None
            count += source.frames
    return count
