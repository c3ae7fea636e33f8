"""Masks that were found without a prompt, as a COCO dataset and as a picture."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from masklet.runtime.pixels.geometry import F32, U8, BoolArray, boxes_xyxy
from masklet.runtime.pixels.overlay import TINT, colour
from masklet.runtime.segmentation.crops import Crop
from typing_extensions import Self


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A mask that was found without a prompt.

    rle:           COCO run lengths of the mask, {"size": [H, W], "counts": bytes}, in source pixels.
    area:          area of the mask in pixels.
    box_xyxy:      [4] float32: left, top, right, bottom in source pixels, right and bottom inclusive.
    predicted_iou: IoU that the model predicts for the mask.
    stability:     see `EverythingOptions.min_stability`.
    point_xy:      the point that led to the mask, in source pixels.
    """

    rle: dict[str, Any]
    area: int
    box_xyxy: F32
    predicted_iou: float
    stability: float
    point_xy: tuple[float, float]
    crop: Crop

    @classmethod
    def of(
        cls, mask: BoolArray, predicted_iou: float, stability: float, point_xy: tuple[float, float], crop: Crop
    ) -> Self:
        """Make one from a mask [H, W] in source pixels that is not empty."""
        return cls(_encode(mask), int(mask.sum()), last_pixels(mask), predicted_iou, stability, point_xy, crop)

    def mask(self) -> BoolArray:
        """The mask, [H, W] bool in source pixels."""
        from pycocotools import mask as coco

        return np.ascontiguousarray(coco.decode(self.rle)).astype(np.bool_)

    def with_mask(self, mask: BoolArray) -> Self:
        """The same segment with another mask."""
        return replace(self, rle=_encode(mask), area=int(mask.sum()), box_xyxy=last_pixels(mask))


def last_pixels(mask: BoolArray) -> F32:
    """The box of a mask [H, W] with right and bottom inclusive, [4]: the convention of SAM's filters."""
    box: F32 = boxes_xyxy(mask[None])[0] - np.array([0, 0, 1, 1], np.float32)
    return box


def _encode(mask: BoolArray) -> dict[str, Any]:
    from pycocotools import mask as coco

    rle: dict[str, Any] = coco.encode(cv2.transpose(mask.view(np.uint8)).T)  # COCO run lengths go down the columns
    return rle


def coco_dataset(segments: Sequence[Segment], file_name: str, image_hw: tuple[int, int]) -> dict[str, Any]:
    """A COCO dataset of one image; pycocotools.coco.COCO loads it.

    In addition to COCO's fields an annotation has those of SAM: predicted_iou, stability_score, point_coords,
    crop_box (x, y, width, height).
    """
    height, width = image_hw
    image = {"id": 1, "file_name": file_name, "height": height, "width": width}
    return {
        "info": {"description": "masks of masklet everything"},
        "images": [image],
        "categories": [{"id": 1, "name": "object"}],
        "annotations": [_annotation(segment, number) for number, segment in enumerate(segments, start=1)],
    }


def _annotation(segment: Segment, number: int) -> dict[str, Any]:
    x0, y0, x1, y1 = segment.box_xyxy.astype(int).tolist()
    crop = segment.crop
    return {
        "id": number,
        "image_id": 1,
        "category_id": 1,
        "iscrowd": 0,
        "area": segment.area,
        "bbox": [x0, y0, x1 + 1 - x0, y1 + 1 - y0],
        "segmentation": {"size": segment.rle["size"], "counts": segment.rle["counts"].decode("ascii")},
        "predicted_iou": round(segment.predicted_iou, 5),
        "stability_score": round(segment.stability, 5),
        "point_coords": [list(segment.point_xy)],
        "crop_box": [crop.x0, crop.y0, crop.x1 - crop.x0, crop.y1 - crop.y0],
    }


def picture(image: U8, segments: Sequence[Segment]) -> U8:
    """A copy of the image [H, W, 3] RGB with every segment in a colour of its own, small ones on top of large ones.

    A segment is tinted and has a contour in the full colour; other pixels are unchanged.
    """
    canvas = image.copy()
    width = 2 * max(1, round(min(image.shape[:2]) / 400)) + 1
    for n in sorted(range(len(segments)), key=lambda n: -segments[n].area):
        mask = segments[n].mask()
        tinted = image[mask] * (1 - TINT) + np.array(colour(n + 1), np.float32) * TINT
        canvas[mask] = np.rint(tinted).astype(np.uint8)
        inside = cv2.erode(mask.view(np.uint8), np.ones((width, width), np.uint8)).view(np.bool_)
        canvas[mask & ~inside] = colour(n + 1)
    return canvas
