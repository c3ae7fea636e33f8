"""Masks as COCO RLE: runs down the columns, the first of zeros, written in the six-bit letters of `maskApi.c`."""

from typing import Any

import msgspec
import numpy as np
from masklet.runtime.errors import MaskletError
from masklet.runtime.pixels.geometry import BoolArray

MAX_PIXELS = 1 << 27  # of a mask


class CocoRle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mask. size: height and width in pixels; counts: its runs, as pycocotools writes them."""

    size: tuple[int, int]
    counts: str

    @classmethod
    def of(cls, mask: BoolArray) -> "CocoRle":
        """mask: [H, W] bool."""
        from pycocotools import mask as coco

        run: Any = coco.encode(np.asfortranarray(mask.view(np.uint8)))
        height, width = mask.shape
        return cls((height, width), run["counts"].decode("ascii"))

    def mask(self) -> BoolArray:
        """[H, W] bool. Raises MaskletError where the runs do not fill the size.

        Written here, since `rleDecode` of pycocotools writes beyond its array where they are too long.
        """
        height, width = self.size
        if min(height, width) < 1 or height * width > MAX_PIXELS:
            raise MaskletError(f"mask: {width}x{height} pixels are no size of a mask")
        runs = _runs(self.counts)
        if any(run < 0 for run in runs) or sum(runs) != height * width:
            raise MaskletError(f"mask: its {len(runs)} runs do not fill its {width}x{height} pixels")
        values = np.arange(len(runs)) % 2 == 1
        return np.ascontiguousarray(np.repeat(values, runs).reshape(width, height).T)


def _runs(counts: str) -> list[int]:
    """The runs of a text: five bits a letter, the lowest first; from the fourth on, differences (rleFrString)."""
    runs: list[int] = []
    value = shift = 0
    for letter in counts:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 35:
            raise MaskletError(f"mask: its RLE goes wrong at {letter!r}; wanted COCO's, as pycocotools writes it")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise MaskletError("mask: its RLE is cut off")
    return runs
