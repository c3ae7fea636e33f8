"""Frames to the model's size as the references resize them: bilinear, antialiased where an axis shrinks.

The reference is torch's interpolate(mode="bilinear", antialias=True), with which torchvision and Pillow agree. Where
an axis grows that is plain bilinear interpolation, which OpenCV does fastest; where it shrinks see `shrink`.
"""

from collections.abc import Callable

import cv2
import numpy as np
from masklet.runtime.errors import SourceError
from masklet.runtime.shrink import U8, RowShrinker

MAX_SIZES = 4  # frame sizes whose plans are kept


class Resizer:
    """Stretches frames to side x side pixels. Keeps weights and buffers of recent sizes: one thread at a time."""

    def __init__(self, side: int) -> None:
        self.side = side
        self._plans: dict[tuple[int, int], Callable[[U8], U8]] = {}

    def __call__(self, image: U8) -> U8:
        """image: [H, W, 3] uint8 RGB. Returns a new [side, side, 3] uint8, within 1/255 of the reference."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            raise SourceError(f"a frame must be uint8[H, W, 3], got {image.dtype}{list(image.shape)}")
        height, width = image.shape[:2]
        plan = self._plans.get((height, width))
        if plan is None:
            if len(self._plans) == MAX_SIZES:
                del self._plans[next(iter(self._plans))]
            plan = self._plans[height, width] = _plan(height, width, self.side)
        return plan(image)


def _plan(height: int, width: int, side: int) -> Callable[[U8], U8]:
    if width > side:
        return _ShrinkColumns(height, width, side)
    if height > side:
        return _ShrinkRows(height, width, side)
    return lambda image: _linear(image, side, side)


def _linear(image: U8, width: int, height: int) -> U8:
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


class _ShrinkRows:
    """For frames that are too high and not too wide: rows first, then OpenCV stretches the columns."""

    def __init__(self, height: int, width: int, side: int) -> None:
        self._side = side
        self._rows = RowShrinker(height, side, width * 3)

    def __call__(self, image: U8) -> U8:
        height, width, _ = image.shape
        shrunk = np.empty((self._side, width, 3), np.uint8)
        self._rows.bind(image.reshape(height, -1), shrunk.reshape(self._side, -1))()
        return _linear(shrunk, self._side, self._side)


class _ShrinkColumns:
    """For frames that are too wide: plane by plane, turned on their side, so that columns shrink as rows do.

    Planes because OpenCV transposes single bytes ten times faster than triples of them.
    """

    def __init__(self, height: int, width: int, side: int) -> None:
        self._side = side
        self._planes = [np.empty((height, width), np.uint8) for _ in range(3)]
        self._squares = [np.empty((side, side), np.uint8) for _ in range(3)]
        self._turned = np.empty((width, height), np.uint8)
        self._narrow = np.empty((side, height), np.uint8)
        self._upright = np.empty((height, side), np.uint8)
        self._columns = RowShrinker(width, side, height).bind(self._turned, self._narrow)
        self._rows = None
        if height > side:
            shrinker = RowShrinker(height, side, side)
            self._rows = [shrinker.bind(self._upright, square) for square in self._squares]

    def __call__(self, image: U8) -> U8:
        cv2.split(image, self._planes)
        for channel, plane in enumerate(self._planes):
            cv2.transpose(plane, dst=self._turned)
            self._columns()
            cv2.transpose(self._narrow, dst=self._upright)
            if self._rows is None:
                size = (self._side, self._side)
                cv2.resize(self._upright, size, dst=self._squares[channel], interpolation=cv2.INTER_LINEAR)
            else:
                self._rows[channel]()
        return np.asarray(cv2.merge(self._squares), np.uint8)
