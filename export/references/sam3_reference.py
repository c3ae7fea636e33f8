"""References of the stages of SAM 3's detector, by transformers' own modules, phrase by phrase.

The stages of the tracker use the references of SAM 2.
"""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from masklet.export.family import Feeds
from masklet.export.references.sam2_reference import Reference
from masklet.runtime.bundle.spec import Tensor


def image_encoder(parts: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> Reference:
    """Normalise as transformers' image processor does, then the backbone and every pyramid.

    parts: of a checkpoint (families/sam3.py). The tracker's maps are made as in `get_vision_features_for_tracker`.
    """

    def tracker(hidden: torch.Tensor) -> list[torch.Tensor]:
        square = hidden.reshape(1, parts.grid, parts.grid, -1).permute(0, 3, 1, 2)
        fine, middle, coarse, *_ = parts.neck(square)[0]
        decoder = parts.tracker.mask_decoder
        return [decoder.conv_s0(fine), decoder.conv_s1(middle), coarse]

    def run(feeds: Feeds) -> dict[str, Tensor]:
        pixels = torch.from_numpy(feeds["image"]).permute(0, 3, 1, 2).float() / 255
        pixels = (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        maps: dict[str, torch.Tensor] = {}
        with torch.inference_mode():
            vision = parts.vision(pixels)
            if parts.detector:
                maps |= zip(("det_fpn0", "det_fpn1", "det_fpn2"), vision.fpn_hidden_states, strict=False)
            if parts.tracker:
                maps |= zip(("feat_s0", "feat_s1", "vision_feat"), tracker(vision.last_hidden_state), strict=True)
        return {name: level.numpy() for name, level in maps.items()}

    return run


def text_encoder(detector: Any) -> Reference:
    """`get_text_features`; without a mask for SAM 3, where the stages that attend to the features mask the padding."""

    def run(feeds: Feeds) -> dict[str, Tensor]:
        valid = torch.from_numpy(feeds["text_valid"]).long() if "text_valid" in feeds else None
        with torch.inference_mode():
            text = detector.get_text_features(torch.from_numpy(feeds["text_ids"]), valid, return_dict=True)
        return {"text_feat": text.pooler_output.numpy()}

    return run


def geometry_encoder(detector: Any) -> Reference:
    """Each phrase with its valid boxes only; the reference appends the CLS token."""
    encoder = detector.geometry_encoder

    def one(feeds: Feeds, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        vision = torch.from_numpy(feeds["det_fpn2"])
        valid = torch.from_numpy(feeds["box_valid"][index]) > 0
        boxes, labels = (torch.from_numpy(feeds[name][index])[valid][None] for name in ("boxes", "box_labels"))
        mask = torch.ones(labels.shape, dtype=torch.bool)
        found = encoder(boxes, mask, labels, (vision,), (_places(detector, vision),)).last_hidden_state
        features = torch.zeros(1, len(valid), found.shape[-1])
        features[:, valid] = found[:, :-1]
        return features, found[:, -1:]

    def run(feeds: Feeds) -> dict[str, Tensor]:
        with torch.inference_mode(), pooling(encoder):
            features, cls = zip(*(one(feeds, index) for index in range(len(feeds["boxes"]))), strict=True)
        return {"exemplar_feat": torch.cat(features).numpy(), "geometry_cls": torch.cat(cls).numpy()}

    return run


def detector(model: Any) -> Reference:
    """The middle of Sam3Model.forward: fusion, queries, boxes of the last layer, scores."""
    from transformers.models.sam3.modeling_sam3 import box_cxcywh_to_xyxy, inverse_sigmoid

    def one(vision: torch.Tensor, prompt: torch.Tensor, valid: torch.Tensor) -> list[torch.Tensor]:
        encoded = model.detr_encoder([vision], prompt, [_places(model, vision)], valid)
        decoded = model.detr_decoder(
            encoded.last_hidden_state, prompt, encoded.pos_embeds_flattened, valid, encoded.spatial_shapes
        )
        queries = decoded.intermediate_hidden_states
        boxes = (model.detr_decoder.box_head(queries[-1]) + inverse_sigmoid(decoded.reference_boxes[-1])).sigmoid()
        logits = model.dot_product_scoring(queries, prompt, valid)[-1].squeeze(-1)
        return [logits, box_cxcywh_to_xyxy(boxes), decoded.presence_logits[-1], queries[-1], encoded.last_hidden_state]

    def run(feeds: Feeds) -> dict[str, Tensor]:
        vision = torch.from_numpy(feeds["det_fpn2"])
        with torch.inference_mode():
            phrases = [one(vision, *each) for each in _prompts(feeds)]
        names = ("detection_logits", "detection_boxes", "presence_logit", "queries", "encoded")
        return {name: torch.cat(each).numpy() for name, each in zip(names, zip(*phrases, strict=True), strict=True)}

    return run


def mask_head(model: Any) -> Reference:
    """Sam3MaskDecoder with the selected queries; the coarse map that it is given is replaced by `encoded`."""

    def one(feeds: Feeds, index: int, prompt: torch.Tensor, valid: torch.Tensor) -> Any:
        fine, middle = (torch.from_numpy(feeds[name]) for name in ("det_fpn0", "det_fpn1"))
        encoded, queries = (torch.from_numpy(feeds[n][index : index + 1]) for n in ("encoded", "selected_queries"))
        edge = math.isqrt(encoded.shape[1])
        coarse = torch.zeros(1, encoded.shape[2], edge, edge)
        return model.mask_decoder(queries, [fine, middle, coarse], encoded, prompt, valid)

    def run(feeds: Feeds) -> dict[str, Tensor]:
        with torch.inference_mode():
            phrases = [one(feeds, index, *each) for index, each in enumerate(_prompts(feeds))]
        masks, semantic = (torch.cat([getattr(p, name) for p in phrases]) for name in ("pred_masks", "semantic_seg"))
        return {"instance_masks": masks.numpy(), "semantic_mask": semantic.numpy()}

    return run


def roi_align(features: torch.Tensor, boxes: list[torch.Tensor], cells: int) -> torch.Tensor:
    """torchvision.ops.roi_align with its defaults, sample by sample as its CPU kernel does.

    features: [images, C, height, width]; boxes: for each image [count, 4], in cells of the map.
    Returns [boxes of all images, C, cells, cells].
    """
    pooled = [
        _pool(image, box.tolist(), cells) for image, of_image in zip(features, boxes, strict=True) for box in of_image
    ]
    return torch.stack(pooled) if pooled else features.new_zeros(0, features.shape[1], cells, cells)


def _pool(image: torch.Tensor, box: list[float], cells: int) -> torch.Tensor:
    left, top, right, bottom = box
    width, height = max(right - left, 1.0) / cells, max(bottom - top, 1.0) / cells
    across, down = math.ceil(width), math.ceil(height)
    pooled = image.new_zeros(len(image), cells, cells)
    for row in range(cells):
        for column in range(cells):
            for i in range(down):
                for j in range(across):
                    y, x = top + height * (row + (i + 0.5) / down), left + width * (column + (j + 0.5) / across)
                    pooled[:, row, column] += _sample(image, y, x)
    return pooled / (across * down)


def _sample(image: torch.Tensor, y: float, x: float) -> torch.Tensor:
    """A bilinear sample between four cells; zero if it is one cell or more outside."""
    height, width = image.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return image.new_zeros(len(image))
    y, x = min(max(y, 0.0), height - 1), min(max(x, 0.0), width - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    v, h = y - y0, x - x0
    above, below = (image[:, r, x0] * (1 - h) + image[:, r, x1] * h for r in (y0, y1))
    return above * (1 - v) + below * v


@contextmanager
def pooling(encoder: Any) -> Iterator[None]:
    """Replace torchvision, which transformers needs only to pool boxes, by its formula if it is not installed."""
    module: Any = sys.modules[type(encoder).__module__]
    missing = find_spec("torchvision") is None and not hasattr(module, "torchvision")
    if missing:
        module.torchvision = SimpleNamespace(ops=SimpleNamespace(roi_align=roi_align))
    try:
        yield
    finally:
        if missing:
            del module.torchvision


def _prompts(feeds: Feeds) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Each phrase's prompt [1, tokens, C] and which of its tokens are valid [1, tokens]."""
    for prompt, valid in zip(feeds["prompt"], feeds["prompt_valid"], strict=True):
        yield torch.from_numpy(prompt)[None], torch.from_numpy(valid)[None] > 0


def _places(detector: Any, vision: torch.Tensor) -> torch.Tensor:
    """The position encoding that the neck returns with the coarse map."""
    encoding: torch.Tensor = detector.vision_encoder.neck.position_encoding(vision.shape, vision.device, vision.dtype)
    return encoding


def draw_boxes(rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    """Boxes of all sizes, as centre and size, some of them partly outside the image."""
    return np.concatenate(
        [rng.uniform(0.05, 0.95, (*shape[:-1], 2)), rng.uniform(0.01, 0.9, (*shape[:-1], 2))], axis=-1
    )


def draw_valid(rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    """Ones and zeros; the last one of each row is a one, like the CLS token of a prompt."""
    valid = (rng.random(shape) < 0.7).astype(np.float32)
    valid[:, -1] = 1
    return valid
