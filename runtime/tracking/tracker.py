"""What a tracker is: frames and prompts go in, results come out, its state can be saved."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from masklet.runtime.prompts.prompts import Prompt
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.tracking.snapshot import TrackerSnapshot


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
