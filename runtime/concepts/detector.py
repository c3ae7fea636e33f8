"""Concept detection on the features of one image: text is encoded once per phrase, masks are computed for kept queries.

Rules: sip = sam3_image_processor.py, V = sam3_video_base.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.spec import ConceptPolicy, ModelSpec, Tensor
from masklet.runtime.concepts.concept import Concept
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.concepts.phrases import PhraseEncoder, PhraseFeatures, PhraseTokenizer
from masklet.runtime.errors import SpecError
from masklet.runtime.pixels.geometry import F32


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The instances of one concept in one image, in the order of the model.

    presence:   probability that the concept is in the image at all, 0..1.
    scores:     [N] float32, score of each instance, multiplied by presence.
    boxes_xyxy: [N, 4] float32, relative to the image, 0..1.
    logits:     [N, h, w] float32, mask logits over the square model input.
    semantic:   [h, w] float32, logit of each pixel belonging to any instance; None if no mask was computed.
    """

    presence: float
    scores: F32
    boxes_xyxy: F32
    logits: F32
    semantic: F32 | None

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, rows: Sequence[int] | Tensor) -> "Detections":
        """A subset of the instances."""
        return Detections(self.presence, self.scores[rows], self.boxes_xyxy[rows], self.logits[rows], self.semantic)


class ConceptDetector:
    """Finds concepts in images that are already encoded. Raises SpecError if the model has no concept detector."""

    def __init__(self, sessions: Sessions, options: ConceptOptions) -> None:
        self._sessions, self.options = sessions, options
        self._policy = concept_policy(sessions.model)
        self._phrases = PhraseEncoder(sessions, _tokenizer(sessions.model, sessions.asset))

    def read(self, concepts: Sequence[Concept]) -> None:
        """Encode phrases before an image comes. Raises PromptError for a phrase that the model cannot read."""
        self._phrases.encode([self._phrase(concept) for concept in concepts])

    def find(
        self, features: Mapping[str, Tensor], concepts: Sequence[Concept], image_hw: tuple[int, int]
    ) -> list[Detections]:
        """The instances of each concept whose score exceeds `min_score` of the options.

        features: outputs of the image encoder.
        image_hw: height and width of the image in source pixels.
        Raises PromptError, before any stage runs, if an exemplar reaches beyond the image or a phrase cannot be read.
        """
        for concept in concepts:
            concept.check(image_hw)
        phrases = self._phrases.encode([self._phrase(concept) for concept in concepts])
        size, detections = self.options.concept_batch, []
        for start in range(0, len(concepts), size):
            part = slice(start, start + size)
            detections += self._batch(features, concepts[part], phrases[part], image_hw)
        return detections

    def _phrase(self, concept: Concept) -> str:
        return self._policy.exemplar_phrase if concept.phrase is None else concept.phrase

    def _batch(
        self,
        features: Mapping[str, Tensor],
        concepts: Sequence[Concept],
        phrases: Sequence[PhraseFeatures],
        image_hw: tuple[int, int],
    ) -> list[Detections]:
        prompt = self._prompt(features, concepts, phrases, image_hw)
        out = self._run("detector", features, prompt)
        presence = _sigmoid(out["presence_logit"])[:, 0]
        scores = _sigmoid(out["detection_logits"]) * presence[:, None]
        kept = [np.flatnonzero(row > np.float32(self.options.min_score)) for row in scores]
        asked = [n for n, rows in enumerate(kept) if len(rows) and presence[n] >= self.options.min_presence]
        masks = self._masks(features, prompt, out, {n: kept[n] for n in asked})
        detections = []
        for n in range(len(concepts)):
            rows = kept[n] if n in masks else np.zeros(0, np.int64)
            logits, semantic = masks.get(n, (_no_masks(features), None))
            boxes = out["detection_boxes"][n, rows]
            detections.append(Detections(float(presence[n]), scores[n, rows], boxes, logits, semantic))
        return detections

    def _prompt(
        self,
        features: Mapping[str, Tensor],
        concepts: Sequence[Concept],
        phrases: Sequence[PhraseFeatures],
        image_hw: tuple[int, int],
    ) -> dict[str, Tensor]:
        """Text, exemplars and the CLS token of all exemplars, which is there even without exemplars (sam3_image.py)."""
        boxes, labels, valid = _exemplars(concepts, image_hw)
        plain = not valid.any()
        shown = slice(0, 1) if plain else slice(None)  # without exemplars all phrases share one row
        given = {"boxes": boxes[shown], "box_labels": labels[shown], "box_valid": valid[shown]}
        geometry = self._run("geometry_encoder", features, given)
        count = len(concepts)
        exemplar, summary = (
            np.broadcast_to(geometry[name], (count, *geometry[name].shape[1:]))
            for name in ("exemplar_feat", "geometry_cls")
        )
        text = np.stack([phrase.text_feat for phrase in phrases])
        always = np.ones((count, 1), np.float32)
        return {
            "prompt": np.concatenate([text, exemplar, summary], axis=1),
            "prompt_valid": np.concatenate([np.stack([phrase.valid for phrase in phrases]), valid, always], axis=1),
        }

    def _masks(
        self,
        features: Mapping[str, Tensor],
        prompt: Mapping[str, Tensor],
        out: Mapping[str, Tensor],
        kept: Mapping[int, Tensor],
    ) -> dict[int, tuple[F32, F32]]:
        """Mask logits and semantic logits of the concepts with at least one kept query.

        They share one call: concepts with fewer queries repeat their last one, which does not affect the others.
        """
        if not kept:
            return {}
        rows, most = list(kept), max(map(len, kept.values()))
        padded = [np.pad(kept[n], (0, most - len(kept[n])), mode="edge") for n in rows]
        feeds = {
            "encoded": out["encoded"][rows],
            "prompt": prompt["prompt"][rows],
            "prompt_valid": prompt["prompt_valid"][rows],
            "selected_queries": np.stack([out["queries"][n, queries] for n, queries in zip(rows, padded, strict=True)]),
        }
        masks = self._run("mask_head", features, feeds)
        return {
            n: (masks["instance_masks"][place, : len(kept[n])], masks["semantic_mask"][place, 0])
            for place, n in enumerate(rows)
        }

    def _run(self, stage: str, features: Mapping[str, Tensor], feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run a stage on `feeds` and on the features that it takes."""
        return self._sessions.run(stage, {**features, **feeds})


def concept_policy(model: ModelSpec) -> ConceptPolicy:
    """The concept policy of a model. Raises SpecError if the model has no concept detector."""
    if model.concepts is None:
        raise SpecError(
            f"{model.family}/{model.variant} has no concept detector: it takes points, boxes and masks; --text and "
            "--exemplar need a bundle of SAM 3"
        )
    return model.concepts


def check_concepts(model: ModelSpec, asset: Callable[[str], Path], concepts: Sequence[Concept]) -> None:
    """Raise MaskletError if a model has no concept detector or cannot read the phrases. Opens no session."""
    policy = concept_policy(model)
    tokenizer = _tokenizer(model, asset)
    for concept in concepts:
        tokenizer.encode(concept.phrase if concept.phrase is not None else policy.exemplar_phrase)


def _tokenizer(model: ModelSpec, asset: Callable[[str], Path]) -> PhraseTokenizer:
    tokens = model.stage("text_encoder").inputs[0].shape[-1]
    return PhraseTokenizer(asset(concept_policy(model).tokenizer), int(tokens))


def _exemplars(concepts: Sequence[Concept], image_hw: tuple[int, int]) -> tuple[F32, Tensor, F32]:
    """Boxes [concepts, exemplars, 4] as centre, width and height in 0..1, labels and validity; at least one column."""
    most = max(1, max(len(concept.exemplars) for concept in concepts))
    boxes = np.zeros((len(concepts), most, 4), np.float32)
    labels, valid = np.zeros(boxes.shape[:2], np.int64), np.zeros(boxes.shape[:2], np.float32)
    height, width = image_hw
    for row, concept in enumerate(concepts):
        for column, exemplar in enumerate(concept.exemplars):
            box = exemplar.box
            center = (box.x0 + box.x1) / 2 / width, (box.y0 + box.y1) / 2 / height
            boxes[row, column] = (*center, (box.x1 - box.x0) / width, (box.y1 - box.y0) / height)
            labels[row, column], valid[row, column] = int(exemplar.positive), 1.0
    return boxes, labels, valid


def _no_masks(features: Mapping[str, Tensor]) -> F32:
    return np.zeros((0, *features["det_fpn0"].shape[-2:]), np.float32)


def _sigmoid(logits: F32) -> F32:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -80, 80))), np.float32)
