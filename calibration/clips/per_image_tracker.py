"""Runs a model that finds concepts in single images over a clip, frame by frame, with the interface of a tracker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.concepts.concept import Concept
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.concepts.predictor import ConceptPredictor, as_frame_result
from masklet.runtime.errors import PromptError, StateError
from masklet.runtime.prompts.prompts import Prompt
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.tracking.snapshot import TrackerSnapshot


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """The complete result of a frame."""

    frame: Frame
    found: FrameResult

    def result(self) -> FrameResult:
        return self.found


class PerImageTracker:
    """Finds every instance of concepts on each frame. Every instance gets a new id, since nothing links frames."""

    def __init__(self, sessions: Sessions, concepts: Sequence[Concept], options: ConceptOptions) -> None:
        self._predictor = ConceptPredictor(sessions, options)
        self._concepts = concepts
        self._seen = 0

    @property
    def object_ids(self) -> list[int]:
        """Always empty: no object is tracked."""
        return []

    def advance(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None) -> list[Finished]:
        """Find the instances on a frame. Raises PromptError for prompts, which only trackers take."""
        if prompts:
            raise PromptError("points, boxes and masks correct tracked objects; this model does not track")
        self._predictor.set_image(frame.image)
        found = as_frame_result(self._predictor.find(self._concepts), frame.hw)
        ids = found.object_ids + self._seen
        self._seen += len(found)
        return [Finished(frame, replace(found, frame_index=frame.index, time_s=frame.time_s, object_ids=ids))]

    def remove(self, object_id: int) -> None:
        """Instances are found in each image anew: none can be removed."""
        raise PromptError(f"object {object_id} was found in one image; there is nothing to stop tracking")

    def late(self) -> list[Finished]:
        """Always empty: no result is delayed."""
        return []

    def snapshot(self) -> TrackerSnapshot:
        """Raises StateError: a model for images has no state."""
        raise StateError("a model for images has no state to save")
