"""What a bundle is calibrated and judged on: sources with their prompts, and true masks where there are some."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from masklet.calibration.truth import MasksByFrame
from masklet.runtime.errors import CalibrationError
from masklet.runtime.prompts import Schedule
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.run import check_frames_come, follow
from masklet.runtime.session import Sessions
from masklet.runtime.sources import Source, open_source
from masklet.runtime.video import VideoTracker


@dataclass(frozen=True, slots=True)
class Clip:
    """A source and its prompts. cut: which frames, as `open_source` takes them. truth: None where there is none."""

    source: str
    schedule: Schedule
    cut: Mapping[str, Any]
    truth: MasksByFrame | None = None

    def open(self) -> Source:
        """Open the source. Raises CalibrationError for a feed, which cannot be run a second time."""
        source = open_source(self.source, **self.cut)
        if source.lossy or (source.frames is None and not Path(self.source).exists()):
            source.close()
            raise CalibrationError(f"{source.name}: frames are run several times; record the feed to a file first")
        return source

    def prompted_on(self, object_id: int) -> set[int]:
        """The frames on which an object is prompted."""
        return {frame for frame, prompts in self.schedule.items() if object_id in prompts}


def check_clips(clips: Sequence[Clip], side: int) -> list[str]:
    """Refuse what cannot be calibrated on before any work is done; returns remarks for the user.

    side: edge of the model's input, in pixels.
    """
    remarks = []
    for clip in clips:
        if not clip.schedule:
            raise CalibrationError(
                f"{clip.source}: nothing to track; give at least one of --point, --box and --mask for it"
            )
        with clip.open() as source:
            check_frames_come(clip.schedule, source)
            width, height = source.size
            if max(width, height) < side:
                remarks.append(
                    f"{source.name}: frames of {width} x {height} are smaller than the model's {side} x {side}; what "
                    "is calibrated on enlarged frames may not fit those of the camera"
                )
    return remarks


def run(sessions: Sessions, clip: Clip) -> Iterator[tuple[Frame, FrameResult]]:
    """Run the ordinary pipeline over a clip."""
    with clip.open() as source:
        yield from follow(VideoTracker(sessions), source, clip.schedule)
