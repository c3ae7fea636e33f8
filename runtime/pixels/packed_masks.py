"""Binary masks with one bit per pixel: boxes, areas and pairwise overlap without a pass over full frames."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from masklet.runtime.pixels.geometry import F32, BoolArray
from typing_extensions import Self

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

WORD = 64  # pixels per machine word


@dataclass(frozen=True, slots=True, eq=False)
class PackedMasks:
    """N masks of one size.

    bits:  [N, h, words] uint64, the pixels of a row in order, padded with zeros.
    areas: [N] int64, pixels.
    boxes: [N, 4] int64: left, top, right, bottom; right and bottom exclusive; zeros if a mask is empty.
    """

    bits: U64
    areas: I64
    boxes: I64

    @classmethod
    def of(cls, logits: F32 | BoolArray) -> Self:
        """Pack masks [N, h, w], or logits, whose mask is where they are above 0."""
        rows = np.packbits(logits > 0, axis=-1)
        count, height, used = rows.shape
        padded = np.zeros((count, height, -(-used // 8) * 8), np.uint8)
        padded[..., :used] = rows
        bits = padded.view(np.uint64)
        return cls(bits, _counted(bits), _boxes(bits, padded))

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, rows: Any) -> Self:
        """A subset of the masks, by an index array or a slice."""
        return type(self)(self.bits[rows], self.areas[rows], self.boxes[rows])

    @property
    def nonempty(self) -> BoolArray:
        """[N], whether a mask has any pixel."""
        return self.areas > 0

    def iou(self, others: Self) -> F32:
        """Intersection over union with each of M other masks of the same size, [N, M]; 0 for two empty masks.

        Only masks whose boxes overlap are compared, and only on the rows that their boxes share.
        """
        found = np.zeros((len(self), len(others)), np.float32)
        for row, box in enumerate(self.boxes):
            low, high = np.maximum(box[:2], others.boxes[:, :2]), np.minimum(box[2:], others.boxes[:, 2:])
            meet = np.flatnonzero((low < high).all(axis=1))
            if len(meet):
                top, bottom = box[1], box[3]
                shared = _counted(self.bits[row, top:bottom] & others.bits[meet, top:bottom])
                union = self.areas[row] + others.areas[meet] - shared
                found[row, meet] = shared.astype(np.float32) / union.astype(np.float32)
        return found


def suppress(ious: F32, scores: F32, threshold: float) -> I64:
    """Greedy non-maximum suppression: keep the mask with the highest score, drop masks that overlap it more, repeat.

    ious: [N, N]; scores: [N]; threshold: masks that overlap by more than this are dropped.
    Returns the kept indices in ascending order; with equal scores the earlier mask is kept.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best = int(order[0])
        kept.append(best)
        order = order[1:][ious[best, order[1:]] <= np.float32(threshold)]
    return np.array(sorted(kept), np.int64)


def _counted(bits: U64) -> I64:
    """The number of pixels of each mask. bits: [..., h, words]."""
    counted: I64 = np.bitwise_count(bits).sum(axis=(-2, -1), dtype=np.int64)
    return counted


def _boxes(bits: U64, padded: npt.NDArray[np.uint8]) -> I64:
    boxes = np.zeros((len(bits), 4), np.int64)
    rows = np.bitwise_or.reduce(bits, axis=2) > 0
    columns = np.unpackbits(np.bitwise_or.reduce(padded, axis=1), axis=-1) > 0
    there = np.flatnonzero(rows.sum(axis=1))
    for axis, used in ((0, columns), (1, rows)):
        boxes[there, axis] = used[there].argmax(axis=1)
        boxes[there, axis + 2] = used.shape[1] - used[there, ::-1].argmax(axis=1)
    return boxes
