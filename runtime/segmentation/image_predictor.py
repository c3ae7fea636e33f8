"""ImagePredictor: set an image once, prompt it many times. The same class serves SAM, SAM-HQ, SAM 2, SAM 3 and EdgeTAM.

Families differ in the inputs of their stages, which the model's declaration lists. The rules for prompts are those of
Meta's SAM2ImagePredictor (sip) and SamPredictor.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.pipelines import IMAGES
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import PromptError, SpecError
from masklet.runtime.pixels.geometry import (
    F32,
    U8,
    BoolArray,
    Resizer,
    content_hw,
    logits_to_source,
    masks_to_source,
    resize_mask,
)
from masklet.runtime.prompts.prompts import I64, PADDING, Mask, Prompt, check_prompt, encode_points, point_count
from masklet.runtime.segmentation.candidates import CHOICES, MaskChoice, choose

LOGIT_LIMIT = 32.0  # logits are clamped to this before they are used as a prompt (sip 424)
FINER = 4  # a mask prompt is resized to this factor times the edge of the decoder's masks (sam2_base.py 424)
MASK_LOGIT = 10.0  # logit inside a mask prompt; its negative outside (sam2_base.py 421)
ENCODER, DECODER = "image_encoder", "mask_decoder"


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """The encoder's outputs for an image, to prompt now or later. features: outputs by name."""

    source_hw: tuple[int, int]
    features: dict[str, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The masks of N prompts, K for each: three if all candidates were requested, otherwise one.

    masks:   [N, K, H, W] bool, source pixels.
    scores:  [N, K] float32, predicted IoU of each mask.
    low_res: [N, K, h, w] float32, logits over the square model input; pass `low_res[:, k]` as `earlier` to refine.
    logits:  [N, K, H, W] float32, source pixels, if requested; the mask is where they are above 0.
    """

    masks: BoolArray
    scores: F32
    low_res: F32
    logits: F32 | None = None


class ImagePredictor:
    """Masks from prompts on single images.

        predictor = ImagePredictor(Bundle.load("sam2.1-tiny.bundle"))
        predictor.set_image(image)
        found = predictor.predict(Points.click(480, 270))
        found = predictor.predict(more_points, earlier=found.low_res[:, 0])

    sessions: a bundle, which is opened on ONNX Runtime's CPU provider, or open sessions, which are then shared.
    Raises SpecError if the model cannot segment images.
    """

    def __init__(self, sessions: Bundle | Sessions, *, batch: int = 16) -> None:
        """batch: maximum number of prompts per call of the decoder; bounds the memory of a call."""
        model = sessions.model
        if missing := IMAGES.missing(model):
            raise SpecError(f"model {model.family}/{model.variant} has no {missing[0]}: it cannot segment images")
        self._sessions = sessions if isinstance(sessions, Sessions) else Sessions.open(sessions)
        self._model, self._batch = model, batch
        self._preprocess, self._policy = model.preprocess, model.prompting
        self._decoder = model.stage(DECODER)
        self._resize = Resizer(self._preprocess.hw, self._preprocess.resize)
        self._embedding: Embedding | None = None

    def set_image(self, image: U8 | Embedding) -> None:
        """Set an image, [H, W, 3] uint8 RGB, or one that was embedded before. Raises SourceError for other arrays."""
        self._embedding = image if isinstance(image, Embedding) else self.embed(image)

    def embed(self, image: U8) -> Embedding:
        """Run the image encoder on [H, W, 3] uint8 RGB without setting the image."""
        square = self._resize(image)[None]
        hw = (image.shape[0], image.shape[1])
        covered = np.array(content_hw(hw, self._preprocess.hw, self._preprocess.resize), np.int64)
        return Embedding(hw, self._sessions.run(ENCODER, {"image": square, "content_hw": covered}))

    def predict(
        self,
        prompts: Prompt | Sequence[Prompt],
        *,
        choice: MaskChoice = "auto",
        earlier: F32 | None = None,
        logits: bool = False,
    ) -> Prediction:
        """Segment the current image. Each prompt is a separate object, in source pixels.

        choice:  "auto" uses the best of three masks for an ambiguous prompt (one click) and the single mask for
                 others, according to the model's prompt policy; "single" and "best" force one of these; "all" returns
                 the three.
        earlier: [N, h, w] logits of an earlier prediction of these objects, to refine.
        logits:  return logits in source pixels, too.
        Raises PromptError if no image is set or a prompt does not fit it.
        """
        if choice not in CHOICES:
            raise PromptError(f"choice {choice!r}: expected one of {', '.join(CHOICES)}")
        wanted = [prompts] if not isinstance(prompts, Sequence) else list(prompts)
        masks, ious = self.decode(wanted, earlier)
        low_res, scores = choose(masks, ious, self._kinds(wanted, choice), self._policy)
        enlarged = self.enlarge(low_res) if logits else None
        return Prediction(self._masks(low_res) if enlarged is None else enlarged > 0, scores, low_res, enlarged)

    def predict_each(
        self, images: Iterable[U8 | Embedding], prompts: Iterable[Sequence[Prompt]], *, choice: MaskChoice = "auto"
    ) -> Iterator[Prediction]:
        """Set each image in turn and predict its prompts. Images may differ in size and in their number of prompts."""
        for image, given in zip(images, prompts, strict=True):
            self.set_image(image)
            yield self.predict(given, choice=choice)

    def decode(self, prompts: Sequence[Prompt], earlier: F32 | None = None) -> tuple[F32, F32]:
        """All candidates of the decoder for each prompt: first the single mask, then the three.

        Returns (logits [N, 4, h, w] over the square model input, predicted IoUs [N, 4]). Only prompts with equal
        numbers of points share a call, because additional padding points would change the result.
        """
        hw = self._given().source_hw
        if not prompts:
            raise PromptError("nothing to segment: give at least one prompt")
        if earlier is not None and earlier.shape != (len(prompts), *self._low_hw()):
            want = [len(prompts), *self._low_hw()]
            raise PromptError(f"earlier logits: expected float32{want}, got {earlier.dtype}{list(earlier.shape)}")
        encoded = [self._encode(prompt, hw) for prompt in prompts]
        calls: dict[int, list[int]] = defaultdict(list)
        for index, (_, labels, _) in enumerate(encoded):
            calls[len(labels)].append(index)
        found: dict[int, tuple[F32, F32]] = {}
        for indices in calls.values():
            for start in range(0, len(indices), self._batch):
                part = indices[start : start + self._batch]
                out = self._run([encoded[i] for i in part], None if earlier is None else earlier[part])
                found.update(zip(part, zip(out["candidate_masks"], out["candidate_ious"], strict=True), strict=True))
        ordered = [found[index] for index in range(len(prompts))]
        return np.stack([masks for masks, _ in ordered]), np.stack([ious for _, ious in ordered])

    def enlarge(self, low_res: F32) -> F32:
        """Enlarge logits over the square model input, [..., h, w], to source pixels [..., H, W]."""
        return logits_to_source(low_res, self._given().source_hw, self._preprocess.prompted, self._preprocess.resize)

    def _masks(self, low_res: F32) -> BoolArray:
        if self._preprocess.resize != "stretch":
            return self.enlarge(low_res) > 0
        hw = self._given().source_hw
        masks = masks_to_source(low_res.reshape(-1, *low_res.shape[2:]), hw)
        return masks.reshape(*low_res.shape[:2], *hw)

    def _encode(self, prompt: Prompt, hw: tuple[int, int]) -> tuple[F32, I64, F32 | None]:
        """Points in model pixels, their labels, and logits [h, w] if the prompt is a mask, otherwise None."""
        check_prompt(prompt, hw)
        side, fit = self._preprocess.prompted, self._preprocess.resize
        if not isinstance(prompt, Mask):
            return *encode_points(prompt, hw, side, fit, padded_boxes=self._policy.padded_boxes), None
        rows, columns = self._low_hw()
        fine = FINER * rows, FINER * columns
        square = resize_mask(prompt.mask, fine, fit).astype(np.float32)
        if not square.any():
            raise PromptError(
                f"a mask of {int(prompt.mask.sum())} pixels is empty at the model's {fine[1]} x {fine[0]}; give a "
                "larger one"
            )
        share = square.reshape(rows, FINER, columns, FINER).mean(axis=(1, 3))
        nothing = np.full(2, PADDING, np.int64)  # two padding points if there is no click (sam2_base.py 318)
        return np.zeros((2, 2), np.float32), nothing, (2 * share - 1) * np.float32(MASK_LOGIT)

    def _run(self, encoded: Sequence[tuple[F32, I64, F32 | None]], earlier: F32 | None) -> dict[str, Tensor]:
        """Run the decoder on prompts with equal numbers of points. earlier: [N, h, w] logits."""
        count = len(encoded)
        masks = np.zeros((count, 1, *self._low_hw()), np.float32)
        has_mask = np.zeros(count, np.float32)
        for row, (_, _, mask) in enumerate(encoded):
            given = mask if mask is not None else None if earlier is None else earlier[row]
            if given is not None:
                masks[row, 0], has_mask[row] = np.clip(given, -LOGIT_LIMIT, LOGIT_LIMIT), 1
        feeds = {
            **self._given().features,
            "point_coords": np.stack([coords for coords, _, _ in encoded]),
            "point_labels": np.stack([labels for _, labels, _ in encoded]),
            "mask_prompt": masks,
            "has_mask": has_mask,
            "multimask": np.ones(count, np.float32),
            "memoryless": np.ones(count, np.float32),  # an image has no memory: sip 138 adds no_mem_embed
        }
        if self._decoder.accepts("image_embed"):
            feeds["image_embed"] = np.repeat(feeds["vision_feat"], count, axis=0)
        return self._sessions.run(DECODER, feeds)

    def _kinds(self, prompts: Sequence[Prompt], choice: MaskChoice) -> list[MaskChoice]:
        if choice != "auto":
            return [choice] * len(prompts)
        multimask = (self._policy.multimask(point_count(prompt), first_prompt=True) for prompt in prompts)
        return ["best" if many else "single" for many in multimask]

    def _low_hw(self) -> tuple[int, int]:
        shape = next(t.shape for t in self._decoder.inputs if t.name == "mask_prompt")
        return int(shape[2]), int(shape[3])

    def _given(self) -> Embedding:
        if self._embedding is None:
            raise PromptError("no image is set; call set_image() first")
        return self._embedding
