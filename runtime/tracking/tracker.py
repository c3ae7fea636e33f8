"""What a tracker is: frames and prompts go in, results come out, its state can be saved."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from masklet.runtime.prompts.prompts import Prompt
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.tracking.snapshot import ObjectSnapshot, TrackerSnapshot


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

    def remove(self, object_id: int) -> None:
        """Stop tracking an object. Raises PromptError where there is none of that id."""
        ...

    def late(self) -> Sequence[Pending]:
        """The results that are still to come after the last frame."""
        ...

    def snapshot(self) -> TrackerSnapshot:
        """What is remembered; StateError where it cannot be kept."""
        ...


class CorrectableTracker(Tracker, Protocol):
    """A tracker whose objects can be prompted, removed and put back between two frames."""

    def current(self) -> Pending:
        """The frame that was last given, as it is known now."""
        ...

    def refine(self, object_id: int, prompt: Prompt) -> FrameResult:
        """Prompt an object on the frame that was last given. Raises PromptError where that does not go together."""
        ...

    def object_snapshot(self, object_id: int) -> ObjectSnapshot:
        """What is remembered of an object after the last frame. Raises PromptError where there is none of that id."""
        ...

    def put_back(self, snapshot: ObjectSnapshot) -> None:
        """Go on from an earlier snapshot of an object, which may have been removed since, from the next frame on."""
        ...
