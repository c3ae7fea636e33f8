"""ConceptPredictor: set an image once, then find every instance of phrases and exemplars in it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.concepts.concept import Concept, concepts_of
from masklet.runtime.concepts.detector import ConceptDetector, Detections
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.errors import PromptError
from masklet.runtime.pixels.geometry import F32, U8, BoolArray, Resizer, boxes_xyxy, logits_to_source, masks_to_source
from masklet.runtime.results import Finding, FrameResult
from masklet.runtime.segmentation.image_predictor import Embedding


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The N instances of a concept in an image, in the order of the model.

    presence:   probability that the concept is in the image at all, 0..1.
    scores:     [N] float32, score of each instance, multiplied by presence.
    masks:      [N, H, W] bool, source pixels.
    boxes_xyxy: [N, 4] float32, source pixels, from the box head of the detector, not from the masks.
    semantic:   [H, W] bool, source pixels that belong to any instance, from a separate head; empty if no instance is
                found, since the mask head does not run then.
    """

    concept: Concept
    presence: float
    scores: F32
    masks: BoolArray
    boxes_xyxy: F32
    semantic: BoolArray

    def __len__(self) -> int:
        return len(self.scores)


class ConceptPredictor:
    """Every instance of a concept in single images.

        predictor = ConceptPredictor(Bundle.load("sam3.bundle"))
        predictor.set_image(image)
        cars, dogs = predictor.find(["car", "brown dog"])
        (more,) = predictor.find(Concept("car", (Exemplar(Box(10, 20, 110, 220)),)))

    A phrase is encoded once for all images, and an image once for all phrases. Overlapping instances are not suppressed
    (as in Meta's Sam3Processor).

    sessions: a bundle, which is opened on ONNX Runtime's CPU provider, or open sessions, which are then shared.
    Raises SpecError if the model has no concept detector.
    """

    def __init__(self, sessions: Bundle | Sessions, options: ConceptOptions | None = None) -> None:
        self._sessions = sessions if isinstance(sessions, Sessions) else Sessions.open(sessions)
        self._detector = ConceptDetector(self._sessions, options or ConceptOptions())
        self._side = self._sessions.model.preprocess.side
        self._resize = Resizer(self._side)
        self._embedding: Embedding | None = None

    def set_image(self, image: U8 | Embedding) -> None:
        """Set an image, [H, W, 3] uint8 RGB, or one that was embedded before. Raises SourceError for other arrays."""
        self._embedding = image if isinstance(image, Embedding) else self.embed(image)

    def embed(self, image: U8) -> Embedding:
        """Run the image encoder on [H, W, 3] uint8 RGB without setting the image."""
        features = self._sessions.run("image_encoder", {"image": self._resize(image)[None]})
        return Embedding((image.shape[0], image.shape[1]), features)

    def find(self, concepts: Concept | str | Iterable[Concept | str]) -> list[Found]:
        """The instances of each concept in the current image.

        Raises PromptError if no image is set, an exemplar reaches beyond it, or the model cannot read a phrase.
        """
        wanted = concepts_of(concepts)
        if self._embedding is None:
            raise PromptError("no image is set; call set_image() first")
        hw = self._embedding.source_hw
        detections = self._detector.find(self._embedding.features, wanted, hw)
        return [self._in_source(concept, one, hw) for concept, one in zip(wanted, detections, strict=True)]

    def _in_source(self, concept: Concept, detections: Detections, hw: tuple[int, int]) -> Found:
        boxes = detections.boxes_xyxy * np.array([hw[1], hw[0], hw[1], hw[0]], np.float32)
        semantic = np.zeros(hw, np.bool_)
        if detections.semantic is not None:
            semantic = logits_to_source(detections.semantic, hw, self._side) > 0
        masks = masks_to_source(detections.logits, hw)
        return Found(concept, detections.presence, detections.scores, masks, boxes.astype(np.float32), semantic)


def as_frame_result(instances: Sequence[Found], hw: tuple[int, int]) -> FrameResult:
    """The instances of all concepts as the objects of a frame, numbered from 1. hw: height and width of the image."""
    count = sum(map(len, instances))
    masks = np.concatenate([one.masks for one in instances]) if count else np.zeros((0, *hw), np.bool_)
    scores = np.concatenate([one.scores for one in instances]) if count else np.zeros(0, np.float32)
    findings = tuple(Finding(one.concept.name, one.presence) for one in instances for _ in range(len(one)))
    return FrameResult(0, 0.0, np.arange(1, count + 1), masks, boxes_xyxy(masks), scores, findings)
