"""Overlapping masks of one concept: which one is blanked, which is stored as absent, which one keeps a pixel."""

from collections.abc import Sequence

import numpy as np
from masklet.runtime.pixels.geometry import F32, BoolArray, tight_box
from masklet.runtime.pixels.packed_masks import I64

NEVER = -1  # the time of the last occlusion if there was none
BLANK = -10.0  # the logits of a mask that is blanked


def recently_occluded(ious: F32, last_occluded: I64, threshold: float) -> BoolArray:
    """Of two tracks that overlap by at least the threshold, the one that was occluded more recently is blanked (V 888).

    ious:          [N, N].
    last_occluded: [N], last time at which each was not visible, NEVER if there was none. A track that was never
                   occluded does not cause the other one to be blanked.
    Returns [N], whether a track is blanked.
    """
    later = (last_occluded[:, None] > last_occluded[None]) & (last_occluded[None] > NEVER)
    gives_way: BoolArray = ((ious >= np.float32(threshold)) & later).sum(axis=1) > 0
    return gives_way


def kept_share(logits: Sequence[F32], boxes: I64, areas: I64) -> F32:
    """The share of its area that each mask keeps if every pixel goes to the highest logit (V 1478).

    logits:       N arrays [h, w].
    boxes, areas: of the masks (logits above 0), as in PackedMasks.
    With equal logits the first mask keeps the pixel; an empty mask keeps nothing. Returns [N] float32.
    """
    highest = np.zeros(logits[0].shape, np.float32)
    owner = np.full(logits[0].shape, len(logits), np.int64)
    for index, (logit, (x0, y0, x1, y1)) in enumerate(zip(logits, boxes.tolist(), strict=True)):
        part = np.s_[y0:y1, x0:x1]
        wins = logit[part] > highest[part]
        highest[part][wins] = logit[part][wins]
        owner[part][wins] = index
    kept = np.bincount(owner.ravel(), minlength=len(logits) + 1)[: len(logits)]
    share: F32 = np.divide(kept, np.maximum(areas, 1), dtype=np.float32)
    return share


def apart(masks: Sequence[BoolArray], boxes: Sequence[I64], visible: F32) -> None:
    """Give every pixel that masks share to the object with the highest visibility (I: _postprocess_output).

    masks:   N arrays [H, W], changed in place.
    boxes:   N arrays [4], tight boxes (left, top, right, bottom), changed in place.
    visible: [N]. With equal values the first object keeps the pixel.
    """
    taken = np.zeros(masks[0].shape, np.bool_)
    for index in np.argsort(-visible, kind="stable").tolist():
        left, top, right, bottom = boxes[index].tolist()
        mine, others = masks[index][top:bottom, left:right], taken[top:bottom, left:right]
        if others.any():
            mine &= ~others
            boxes[index][:] = tight_box(masks[index], (left, top, right, bottom))
        others |= mine
