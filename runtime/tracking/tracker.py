"""The Tracker protocol: takes frames and prompts, returns results, and can save its state."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from masklet.runtime.prompts.prompts import Prompt
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.tracking.snapshot import ObjectSnapshot, TrackerSnapshot


class Pending(Protocol):
    """The result of a frame whose masks are not yet enlarged. `result` uses no session: any thread may call it."""

    @property
    def frame(self) -> Frame: ...

    def result(self) -> FrameResult: ...


class Tracker(Protocol):
    """Implemented by VideoTracker and ConceptTracker."""

    @property
    def object_ids(self) -> list[int]:
        """Ids of the tracked objects."""
        ...

    def advance(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None) -> Sequence[Pending]:
        """Process the next frame. Returns the results that are due, in order of their frames."""
        ...

    def remove(self, object_id: int) -> None:
        """Stop tracking an object. Raises PromptError if there is no object of that id."""
        ...

    def late(self) -> Sequence[Pending]:
        """The results that are still delayed after the last frame."""
        ...

    def snapshot(self) -> TrackerSnapshot:
        """The state after the last frame. Raises StateError if it cannot be saved."""
        ...


class CorrectableTracker(Tracker, Protocol):
    """A tracker whose objects can be prompted, removed and put back between two frames."""

    def current(self) -> Pending:
        """The latest frame, as known now."""
        ...

    def refine(self, object_id: int, prompt: Prompt) -> FrameResult:
        """Prompt an object on the latest frame. Raises PromptError if the prompt does not fit."""
        ...

    def object_snapshot(self, object_id: int) -> ObjectSnapshot:
        """The state of an object after the last frame. Raises PromptError if there is no object of that id."""
        ...

    def put_back(self, snapshot: ObjectSnapshot) -> None:
        """Restore an earlier snapshot of an object, which may have been removed, from the next frame on."""
        ...
