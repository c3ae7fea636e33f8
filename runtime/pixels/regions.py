"""Removes small holes and islands of a mask (segment_anything amg.py, remove_small_regions)."""

import cv2
import numpy as np
from masklet.runtime.pixels.geometry import BoolArray


def without_small_regions(mask: BoolArray, min_area: int) -> tuple[BoolArray, bool]:
    """Fill holes, then remove islands, of fewer than min_area pixels; 8-connected.

    mask: [H, W] bool. Returns the mask and whether it was changed. The largest island always stays.
    """
    filled, holes = _fill_holes(mask, min_area)
    kept, islands = _drop_islands(filled, min_area)
    return kept, holes or islands


def _fill_holes(mask: BoolArray, min_area: int) -> tuple[BoolArray, bool]:
    labels, small = _small_regions(~mask, min_area)
    return (mask | small[labels], True) if small.any() else (mask, False)


def _drop_islands(mask: BoolArray, min_area: int) -> tuple[BoolArray, bool]:
    labels, small = _small_regions(mask, min_area)
    if not small.any():
        return mask, False
    if small[1:].all():
        small[1 + int(np.argmax(np.bincount(labels.ravel())[1:]))] = False
    return mask & ~small[labels], True


def _small_regions(region: BoolArray, min_area: int) -> tuple[cv2.typing.MatLike, BoolArray]:
    """Returns (labels [H, W], 0 outside the region; for each label whether its area is below min_area)."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(region.view(np.uint8), connectivity=8)
    small: BoolArray = stats[:, cv2.CC_STAT_AREA] < min_area
    small[0] = False
    return labels, small
