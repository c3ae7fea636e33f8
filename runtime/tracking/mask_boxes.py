"""Boxes of low-resolution masks for memory policies: integers in mask pixels, right and bottom inclusive."""

from typing import NamedTuple

import cv2
import numpy as np
from masklet.runtime.bundle.spec import Tensor


class MaskBox(NamedTuple):
    """Left, top, width and height of the pixels of a mask."""

    left: int
    top: int
    width: int
    height: int

    @property
    def area(self) -> int:
        return self.width * self.height

    def joined(self, other: "MaskBox") -> "MaskBox":
        """The smallest box that contains both."""
        left, top = min(self.left, other.left), min(self.top, other.top)
        right = max(self.left + self.width, other.left + other.width)
        bottom = max(self.top + self.height, other.top + other.height)
        return MaskBox(left, top, right - left, bottom - top)


def box_of(mask: Tensor) -> MaskBox | None:
    """The box of a mask [h, w] of 0 and 1 (bool or uint8); None if it is empty."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    return MaskBox(left, top, width, height) if width else None


def largest_part(mask: Tensor) -> MaskBox | None:
    """The box of the largest 8-connected part of a mask [h, w] of 0 and 1; None if it is empty."""
    whole = box_of(mask)
    if whole is None:
        return None
    left, top, width, height = whole
    window = mask.view(np.uint8)[top : top + height, left : left + width]
    _, _, stats, _ = cv2.connectedComponentsWithStats(window, connectivity=8)
    part = stats[1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))]
    return MaskBox(left + int(part[0]), top + int(part[1]), int(part[2]), int(part[3]))
