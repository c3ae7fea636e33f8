"""A scene for loops against a reference, and what they are compared by."""

import cv2
import numpy as np
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.prompts.prompts import Mask
from masklet.runtime.results import Frame

Disc = tuple[int, int, int]  # x, y, radius on the first frame


def two_discs(count: int, side: int, first: Disc, second: Disc, *, height: int | None = None) -> list[Frame]:
    """Two discs that drift over a smooth background: one down to the right, one to the left.

    side: width of the frames, and their height unless that is given.
    """
    rng = np.random.default_rng(0)
    background = cv2.resize(rng.uniform(0, 255, (8, 8, 3)), (side, height or side), interpolation=cv2.INTER_CUBIC)
    frames = []
    for t in range(count):
        image = np.clip(background, 0, 255).astype(np.uint8)
        cv2.circle(image, (first[0] + 2 * t, first[1] + t), first[2], (230, 40, 60), -1)
        cv2.circle(image, (second[0] - t, second[1]), second[2], (30, 200, 220), -1)
        frames.append(Frame(t, t / 30, image))
    return frames


def disc(side: int, x: int, y: int, radius: int) -> Mask:
    """A disc as a mask prompt."""
    mask = np.zeros((side, side), np.uint8)
    cv2.circle(mask, (x, y), radius, 1, -1)
    return Mask(mask.astype(bool))


def iou(a: Tensor, b: Tensor) -> float:
    """Intersection over union of two masks; 1 where both are empty."""
    union = int((a | b).sum())
    return float((a & b).sum() / union) if union else 1.0
