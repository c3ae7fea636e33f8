"""Matches instances of two pipelines, whose ids are unrelated, by masks that overlap by more than half.

Instances of a phrase in a tracker do not share pixels, so no instance overlaps two others by more than half, and no
assignment is needed (Kirillov et al., "Panoptic Segmentation", CVPR 2019, section 4.1). If masks do share pixels, the
pair with the largest overlap is matched first.
"""

from dataclasses import dataclass

import numpy as np
from masklet.runtime.pixels.packed_masks import PackedMasks
from masklet.runtime.results import FrameResult

MATCHED = 0.5


@dataclass(frozen=True, slots=True)
class Matching:
    """Matched instances of a frame, by row. Instances with an empty mask are left out.

    pairs:  (row of the first, row of the second, IoU of their masks).
    lost:   rows of the first without a match.
    gained: rows of the second without a match.
    """

    pairs: list[tuple[int, int, float]]
    lost: list[int]
    gained: list[int]


def match(full: FrameResult, low: FrameResult) -> Matching:
    """Match the instances of two results of the same frame. Instances of different phrases are never matched."""
    masks, others = PackedMasks.of(full.masks), PackedMasks.of(low.masks)
    ious = masks.iou(others)
    ious[np.not_equal.outer(_phrases(full), _phrases(low))] = 0
    free, free_others = set(np.flatnonzero(masks.nonempty).tolist()), set(np.flatnonzero(others.nonempty).tolist())
    pairs = []
    for row, other in sorted(np.argwhere(ious > MATCHED).tolist(), key=lambda place: -ious[tuple(place)]):
        if row in free and other in free_others:
            free.remove(row)
            free_others.remove(other)
            pairs.append((row, other, float(ious[row, other])))
    return Matching(sorted(pairs), sorted(free), sorted(free_others))


def _phrases(result: FrameResult) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    return np.array([finding.phrase for finding in result.findings], object)
