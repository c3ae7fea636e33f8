"""What every run has: outputs, and frames that meet their prompts in a tracker."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from masklet.runtime.errors import PromptError, SinkError
from masklet.runtime.output_file import check_parent
from masklet.runtime.prompts import Prompt, Schedule
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sinks import MaskPngs, MasksJsonl, OverlayVideo, Sink, Sinks
from masklet.runtime.snapshot import TrackerSnapshot
from masklet.runtime.sources import Source


class Pending(Protocol):
    """A frame's result before its masks have the frame's size. `result` takes no session: any thread may call it."""

    @property
    def frame(self) -> Frame: ...

    def result(self) -> FrameResult: ...


class Tracker(Protocol):
    """What frames go through: VideoTracker, ConceptTracker."""

    @property
    def object_ids(self) -> list[int]:
        """The objects that are followed."""
        ...

    def advance(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None) -> Sequence[Pending]:
        """Take the next frame; returns the results that are due, in the order of their frames."""
        ...

    def late(self) -> Sequence[Pending]:
        """The results that are still to come after the last frame."""
        ...

    def snapshot(self) -> TrackerSnapshot:
        """What is remembered; StateError where it cannot be kept."""
        ...


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

    def check_folders(self) -> None:
        """Raise SinkError where the folder that is to hold an output is not there, before anything is replaced."""
        for path in (self.overlay, self.masks, self.pngs):
            if path is not None:
                check_parent(path)

    def spare(self, source: str) -> None:
        """Raise SinkError where an output is the source itself, which opening it would empty."""
        for path in (self.overlay, self.masks):
            if path is not None and path.exists() and Path(source).exists() and path.samefile(source):
                raise SinkError(f"{path}: is the source itself; write the output to another file")

    def __str__(self) -> str:
        return ", ".join(str(path) for path in (self.overlay, self.masks, self.pngs) if path is not None)


def follow(tracker: Tracker, frames: Iterable[Frame], schedule: Schedule) -> Iterator[tuple[Frame, FrameResult]]:
    """Run frames through a tracker, giving each prompt on its frame.

    Raises PromptError after the last frame where a prompt's frame did not come.
    """
    pending = dict(schedule)
    for frame in frames:
        for due in tracker.advance(frame, pending.pop(frame.index, None)):
            yield due.frame, due.result()
    for due in tracker.late():
        yield due.frame, due.result()
    if pending:
        raise PromptError(f"prompts for frame {min(pending)} were not used: that frame did not come")


def check_frames_come(frames: Iterable[int], source: Source) -> None:
    """Raise PromptError, before any work is done, for a prompt's frame that the source knows it will not deliver."""
    for index in sorted(frames):
        if not source.will_yield(index):
            raise PromptError(f"a prompt is for frame {index}, which does not come: {source.name} gives {source.range}")
