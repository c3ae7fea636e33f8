"""A model that finds concepts in single images, run over a clip like a tracker: each frame on its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.cli.segment_phrases import as_result
from masklet.runtime.concepts.concept import Concept
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.concepts.predictor import ConceptPredictor
from masklet.runtime.errors import PromptError, StateError
from masklet.runtime.prompts.prompts import Prompt
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.tracking.snapshot import TrackerSnapshot


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """A frame's result, which nothing is missing of."""

    frame: Frame
    found: FrameResult

    def result(self) -> FrameResult:
        return self.found


class EachImage:
    """Finds every instance of concepts. No id comes twice, since nothing says which of another frame an instance is."""

    def __init__(self, sessions: Sessions, concepts: Sequence[Concept], options: ConceptOptions) -> None:
        self._predictor = ConceptPredictor(sessions, options)
        self._concepts = concepts
        self._seen = 0

    @property
    def object_ids(self) -> list[int]:
        """None is followed."""
        return []

    def advance(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None) -> list[Finished]:
        """Find on a frame. Raises PromptError for prompts, which correct what is followed."""
        if prompts:
            raise PromptError("points, boxes and masks correct what is followed; this model follows nothing")
        self._predictor.set_image(frame.image)
        found = as_result(self._predictor.find(self._concepts), frame.hw)
        ids = found.object_ids + self._seen
        self._seen += len(found)
        return [Finished(frame, replace(found, frame_index=frame.index, time_s=frame.time_s, object_ids=ids))]

    def late(self) -> list[Finished]:
        """None is."""
        return []

    def snapshot(self) -> TrackerSnapshot:
        """Raises StateError: there is nothing to remember."""
        raise StateError("a model for images remembers nothing")
