"""How well an annotation's masks agree with true ones: J, the intersection over union."""

import numpy as np
from masklet.runtime.annotation.clip_masks import Record
from masklet.runtime.errors import MasksError
from masklet.runtime.masks.masks_by_frame import MasksByFrame
from masklet.runtime.pixels.coco_rle import CocoRle


class Agreement:
    """J of each mask, found once."""

    def __init__(self, truth: MasksByFrame, hw: tuple[int, int]) -> None:
        """hw: height and width of the clip's frames, which true masks must have. Raises MasksError otherwise."""
        self._truth, self._hw = truth, hw
        self._known: dict[tuple[int, int], tuple[Record, float]] = {}
        for mask in (truth.masks(truth.frames[0]) or {}).values():
            if mask.shape != hw:
                sizes = [f"{width}x{height}" for height, width in (mask.shape, hw)]
                raise MasksError(f"true masks are {sizes[0]} pixels, but the clip's frames {sizes[1]}")

    def j(self, frame: int, record: Record) -> float | None:
        """J of an object on a frame; None where nothing is true of the frame. Two empty masks agree."""
        key = frame, record["id"]
        known = self._known.get(key)
        if known is not None and known[0] is record:
            return known[1]
        there = self._truth.masks(frame)
        if there is None:
            return None
        segmentation = record["segmentation"]
        mask = CocoRle(tuple(segmentation["size"]), segmentation["counts"]).mask()
        true = there.get(record["id"], np.zeros(self._hw, np.bool_))
        union = int((mask | true).sum())
        value = float((mask & true).sum() / union) if union else 1.0
        self._known[key] = record, value
        return value
