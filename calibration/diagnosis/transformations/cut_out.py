"""A picture cut out along a mask, and how it is pasted elsewhere."""

from dataclasses import dataclass

import numpy as np
from masklet.calibration.diagnosis.transformations.true_clip import U8, BoolArray
from typing_extensions import Self


@dataclass(frozen=True, eq=False)
class CutOut:
    """A piece of a picture. image: [h, w, 3]; mask: [h, w], which of it is the piece; top, left: where it was."""

    image: U8
    mask: BoolArray
    top: int
    left: int

    @classmethod
    def of(cls, image: U8, mask: BoolArray) -> Self | None:
        """Cut out; None where the mask [H, W] is empty."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return None
        part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        return cls(image[part].copy(), mask[part].copy(), int(rows[0]), int(columns[0]))

    def mirrored(self) -> "CutOut":
        """The piece seen in a mirror."""
        return CutOut(self.image[:, ::-1].copy(), self.mask[:, ::-1].copy(), self.top, self.left)

    def paste(self, image: U8, top: int, left: int, behind: BoolArray | None = None) -> BoolArray:
        """Paste the piece into a picture [H, W, 3], in place; what lies outside of it is lost.

        behind: pixels [H, W] that it may not cover. Returns where it was pasted, [H, W].
        """
        pasted = np.zeros(image.shape[:2], np.bool_)
        height, width = self.mask.shape
        rows = slice(max(top, 0), max(min(top + height, image.shape[0]), 0))
        columns = slice(max(left, 0), max(min(left + width, image.shape[1]), 0))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return pasted
        own = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
        pasted[rows, columns] = self.mask[own]
        if behind is not None:
            pasted &= ~behind
        whole = np.zeros_like(image)
        whole[rows, columns] = self.image[own]
        image[pasted] = whole[pasted]
        return pasted
