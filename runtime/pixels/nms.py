"""Non-maximum suppression of boxes, as torchvision.ops.nms does it."""

import numpy as np
import numpy.typing as npt
from masklet.runtime.pixels.geometry import F32


def nms(boxes: F32, scores: F32, threshold: float) -> npt.NDArray[np.int64]:
    """Keep the box with the highest score, drop boxes that overlap it by more than the threshold, repeat.

    boxes: [N, 4], left, top, right, bottom; scores: [N]; threshold: intersection over union.
    Returns the kept indices in order of descending score; with equal scores the earlier one comes first.
    """
    order = np.argsort(-scores, kind="stable")
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        union = areas[best] + areas[rest] - shared
        order = rest[shared <= threshold * union]
    return np.array(kept, np.int64)
