"""Removes small holes and specks of mask logits (SAM 3: sam3_tracker_utils.py, fill_holes_in_mask_scores)."""

import cv2
import numpy as np
from masklet.runtime.pixels.geometry import F32, U8, close_holes

SPECK_SCORE = -0.1  # score of a removed speck
LABELS = 130_000  # pixels whose components fit into 16 bits: at most every second pixel is a component of its own


def clean(logits: F32, max_area: int) -> F32:
    """Fill holes, then remove specks, of at most max_area pixels, 8-connected, in place.

    logits: [N, h, w]. A speck is also at most half of its mask, so that small objects stay. Only the part around each
    mask is searched. Returns the same array; an area of 0 changes nothing.
    """
    if max_area > 0:
        for scores in logits:
            close_holes(scores, max_area)
            _remove_specks(scores, max_area)
    return logits


def _remove_specks(scores: F32, max_area: int) -> None:
    mask: U8 = (scores > 0).view(np.uint8)
    x, y, width, height = cv2.boundingRect(mask)
    if width == 0:
        return
    part = np.s_[y : y + height, x : x + width]
    label_type = cv2.CV_16U if width * height < LABELS else cv2.CV_32S
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask[part], connectivity=8, ltype=label_type)
    areas = stats[:, cv2.CC_STAT_AREA]
    small = areas <= min(max_area, int(areas[1:].sum()) // 2)
    small[0] = False  # label 0 is the background
    if small.any():
        scores[part][small[labels]] = SPECK_SCORE
