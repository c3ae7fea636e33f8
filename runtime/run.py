"""What every run has: outputs, and frames that meet their prompts in a tracker."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from masklet.runtime.errors import PromptError, SinkError
from masklet.runtime.prompts import Schedule
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sinks import MaskPngs, MasksJsonl, OverlayVideo, Sink, Sinks
from masklet.runtime.sources import Source
from masklet.runtime.video import VideoTracker


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where results go; None leaves an output out. keep: bytes of `masks` to go on after, None to replace it."""

    overlay: Path | None = None
    masks: Path | None = None
    pngs: Path | None = None
    keep: int | None = None

    def open(self, fps: float) -> Sinks:
        """Open a sink for each output. Raises SinkError where one cannot be written."""
        sinks: list[Sink] = []
        if self.overlay is not None:
            sinks.append(OverlayVideo(self.overlay, fps))
        if self.masks is not None:
            sinks.append(MasksJsonl(self.masks, self.keep))
        if self.pngs is not None:
            sinks.append(MaskPngs(self.pngs))
        return Sinks(sinks)

    def spare(self, source: str) -> None:
        """Raise SinkError where an output is the source itself, which opening it would empty."""
        for path in (self.overlay, self.masks):
            if path is not None and path.exists() and Path(source).exists() and path.samefile(source):
                raise SinkError(f"{path}: is the source itself; write the output to another file")

    def __str__(self) -> str:
        return ", ".join(str(path) for path in (self.overlay, self.masks, self.pngs) if path is not None)


def follow(tracker: VideoTracker, frames: Iterable[Frame], schedule: Schedule) -> Iterator[tuple[Frame, FrameResult]]:
    """Run frames through a tracker, giving each prompt on its frame.

    Raises PromptError after the last frame where a prompt's frame did not come.
    """
    pending = dict(schedule)
    for frame in frames:
        yield frame, tracker.step(frame, pending.pop(frame.index, None))
    if pending:
        raise PromptError(f"prompts for frame {min(pending)} were not used: that frame did not come")


def check_frames_come(frames: Iterable[int], source: Source) -> None:
    """Raise PromptError, before any work is done, for a prompt's frame that the source knows it will not deliver."""
    for index in sorted(frames):
        if not source.will_yield(index):
            raise PromptError(f"a prompt is for frame {index}, which does not come: {source.name} gives {source.range}")
