"""Resizes frames to the model input as the references do: bilinear, antialiased along axes that shrink.

The reference is torch's interpolate(mode="bilinear", antialias=True); torchvision and Pillow agree with it. An axis
that grows needs plain bilinear interpolation, which OpenCV does fastest; for an axis that shrinks see `shrink`.
"""

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
from masklet.runtime.errors import SourceError
from masklet.runtime.pixels.shrink import U8, RowShrinker

MAX_SIZES = 4  # number of frame sizes whose plans are cached


Fit = Literal["stretch", "longest_side"]
Side = int | tuple[int, int]  # of the model's input: the edge of a square, or height and width, in pixels


def input_hw(side: Side) -> tuple[int, int]:
    """Height and width of the model's input."""
    return (side, side) if isinstance(side, int) else side


def content_hw(source_hw: tuple[int, int], side: Side, fit: Fit) -> tuple[int, int]:
    """Height and width, in model pixels, that a frame covers in the model's input.

    "stretch" covers all of it. "longest_side" keeps the aspect ratio, with the frame at the top left; the shorter side
    is rounded half up as in segment_anything's ResizeLongestSide.get_preprocess_shape, but is at least 1.
    """
    if fit == "stretch":
        return input_hw(side)
    scale = max(input_hw(side)) / max(source_hw)
    height, width = (max(1, int(length * scale + 0.5)) for length in source_hw)
    return height, width


class Resizer:
    """Fits frames into the model's input. Caches weights and buffers of recent sizes; not safe for several threads."""

    def __init__(self, side: Side, fit: Fit = "stretch") -> None:
        self.hw, self.fit = input_hw(side), fit
        self._plans: dict[tuple[int, int], Callable[[U8], U8]] = {}

    def __call__(self, image: U8) -> U8:
        """image: [H, W, 3] uint8 RGB. Returns a new [height, width, 3] uint8, within 1/255 of the reference.

        Pixels that the frame does not cover are 0; the graph of such a model takes the covered size as an input.
        """
        if not isinstance(image, np.ndarray):
            raise SourceError(
                f"expected an image as an array uint8[H, W, 3] RGB, got {type(image).__name__}; read a file with "
                "open_source(path)"
            )
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            raise SourceError(f"a frame must be uint8[H, W, 3], got {image.dtype}{list(image.shape)}")
        height, width = image.shape[:2]
        plan = self._plans.get((height, width))
        if plan is None:
            if len(self._plans) == MAX_SIZES:
                del self._plans[next(iter(self._plans))]
            plan = self._plans[height, width] = _plan(height, width, content_hw((height, width), self.hw, self.fit))
        return self._padded(plan(image))

    def _padded(self, content: U8) -> U8:
        height, width, _ = content.shape
        if (height, width) == self.hw:
            return content
        square = np.zeros((*self.hw, 3), np.uint8)
        square[:height, :width] = content
        return square


def _plan(height: int, width: int, target_hw: tuple[int, int]) -> Callable[[U8], U8]:
    if width > target_hw[1]:
        return _ShrinkColumns(height, width, target_hw)
    if height > target_hw[0]:
        return _ShrinkRows(height, width, target_hw)
    return lambda image: _linear(image, target_hw[1], target_hw[0])


def _linear(image: U8, width: int, height: int) -> U8:
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


class _ShrinkRows:
    """For frames higher but not wider than the target: shrinks rows first, then OpenCV stretches the columns."""

    def __init__(self, height: int, width: int, target_hw: tuple[int, int]) -> None:
        self._target_hw = target_hw
        self._rows = RowShrinker(height, target_hw[0], width * 3)

    def __call__(self, image: U8) -> U8:
        height, width, _ = image.shape
        rows, columns = self._target_hw
        shrunk = np.empty((rows, width, 3), np.uint8)
        self._rows.bind(image.reshape(height, -1), shrunk.reshape(rows, -1))()
        return _linear(shrunk, columns, rows)


class _ShrinkColumns:
    """For frames wider than the target: transposes each colour plane, so that columns shrink like rows.

    Planes, because OpenCV transposes single bytes ten times faster than triples.
    """

    def __init__(self, height: int, width: int, target_hw: tuple[int, int]) -> None:
        self._target_hw = rows, columns = target_hw
        self._planes = [np.empty((height, width), np.uint8) for _ in range(3)]
        self._targets = [np.empty((rows, columns), np.uint8) for _ in range(3)]
        self._turned = np.empty((width, height), np.uint8)
        self._narrow = np.empty((columns, height), np.uint8)
        self._upright = np.empty((height, columns), np.uint8)
        self._columns = RowShrinker(width, columns, height).bind(self._turned, self._narrow)
        self._rows = None
        if height > rows:
            shrinker = RowShrinker(height, rows, columns)
            self._rows = [shrinker.bind(self._upright, target) for target in self._targets]

    def __call__(self, image: U8) -> U8:
        cv2.split(image, self._planes)
        for channel, plane in enumerate(self._planes):
            cv2.transpose(plane, dst=self._turned)
            self._columns()
            cv2.transpose(self._narrow, dst=self._upright)
            if self._rows is None:
                size = self._target_hw[::-1]
                cv2.resize(self._upright, size, dst=self._targets[channel], interpolation=cv2.INTER_LINEAR)
            else:
                self._rows[channel]()
        return np.asarray(cv2.merge(self._targets), np.uint8)
