"""Which instances of two pipelines are the same, where ids say nothing: those whose masks overlap by more than half.

A tracker's instances of a phrase do not share pixels, so that none overlaps two others by so much, and there is nothing
to assign (Kirillov et al., "Panoptic Segmentation", CVPR 2019, section 4.1). Where masks do share pixels, the pair that
overlaps most goes first.
"""

from dataclasses import dataclass

import numpy as np
from masklet.runtime.pixels.packed_masks import PackedMasks
from masklet.runtime.results import FrameResult

MATCHED = 0.5


@dataclass(frozen=True, slots=True)
class Matching:
    """Instances of a frame by their rows. Those without a pixel are in none of the three.

    pairs: rows of either side, and the IoU of their masks. lost: rows of the first that are none of the second;
    gained: the reverse.
    """

    pairs: list[tuple[int, int, float]]
    lost: list[int]
    gained: list[int]


def match(full: FrameResult, low: FrameResult) -> Matching:
    """Match the instances of the same frame. Those of different phrases are never the same."""
    masks, others = PackedMasks.of(full.masks), PackedMasks.of(low.masks)
    ious = masks.iou(others)
    ious[np.not_equal.outer(_phrases(full), _phrases(low))] = 0
    free, free_others = set(np.flatnonzero(masks.nonempty).tolist()), set(np.flatnonzero(others.nonempty).tolist())
    pairs = []
    for row, other in sorted(np.argwhere(ious > MATCHED).tolist(), key=lambda place: -ious[*place]):
        if row in free and other in free_others:
            free.remove(row)
            free_others.remove(other)
            pairs.append((row, other, float(ious[row, other])))
    return Matching(sorted(pairs), sorted(free), sorted(free_others))


def _phrases(result: FrameResult) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    return np.array([finding.phrase for finding in result.findings], object)
