"""Masks as COCO RLE: runs down the columns, the first of zeros, written in the six-bit letters of `maskApi.c`."""

from typing import Any

import msgspec
import numpy as np
from masklet.runtime.errors import MaskletError
from masklet.runtime.pixels.geometry import BoolArray

LETTERS = 20_000_000  # of one mask at most; a checkerboard of 4K pixels has fewer


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
        runs = _runs(self.counts)
        if min(height, width) < 1 or (len(runs) and runs.min() < 0) or int(runs.sum()) != height * width:
            raise MaskletError(f"mask: its {len(runs)} runs do not fill the {width}x{height} pixels that it says it has")
        values = np.arange(len(runs)) % 2 == 1
        return np.ascontiguousarray(np.repeat(values, runs).reshape(width, height).T)


def _runs(counts: str) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """The runs of a text: five bits a letter, the lowest first; from the fourth on, differences (rleFrString)."""
    letters = counts.encode("ascii", "replace")
    if len(letters) > LETTERS:
        raise MaskletError(f"mask: {len(letters)} letters of RLE; {LETTERS} at most")
    runs: list[int] = []
    value = shift = 0
    for letter in letters:
        bits = letter - 48
        if not 0 <= bits < 64 or shift > 35:
            raise MaskletError(f"mask: {chr(letter)!r} is no letter of COCO RLE")
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
    try:
        return np.array(runs, np.int64)
    except OverflowError:
        raise MaskletError("mask: a run of its RLE is longer than any picture") from None
