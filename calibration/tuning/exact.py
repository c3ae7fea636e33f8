"""The exact pipeline over all clips: the masks that every point is compared with, and its own figures."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
from masklet.calibration.clips.clips import Clip
from masklet.calibration.clips.truth import MaskLines
from masklet.calibration.scoring.closed_loop import judge, lost_by_fp32
from masklet.calibration.tuning.models import Models
from masklet.calibration.tuning.trial import Clock, Outcome, TimedFrames, Times, timed_session, times_of, tracker_of
from masklet.runtime.errors import CalibrationError
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sinks.json_lines import MasksJsonl

Tell = Callable[[str, int, int | None], None]


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

    def record(self, models: Models, tell: Tell, clock: Clock = time.perf_counter) -> None:
        """Run the exact pipeline over the clips, unless that was done.

        Raises CalibrationError where the folder cannot be written.
        """
        if self._times_path.exists():
            return
        point, timed = models.exact, list[TimedFrames]()
        with models.open(point, lambda session: timed_session(session, timed, clock)) as sessions:
            for number, clip in enumerate(self._clips):
                timed.append(TimedFrames())
                with MasksJsonl(self.path(number)) as sink:
                    frames = timed[-1].follow(tracker_of(point, clip, sessions), clip, clock)
                    for done, (frame, result) in enumerate(frames):
                        sink.write(frame, result)
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
