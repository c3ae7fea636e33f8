"""What tracking must beat: four trackers that know nothing, each started from the same prompts as the model.

A scene on which one of them does as well as the model proves little about the model.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from clicks import Point, box, centre_click
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]

FLOOD_TOLERANCE = 40
"""Grey levels per channel around the clicked pixel; the best of 10..40 on all kinds of scenes."""
COLOUR_TOLERANCE = 18.0
"""Distance in chromaticity, 0..255; the best of 8..25 on cluttered scenes."""
SMALLEST_PART = 12
"""Pixels: a smaller patch of colour is not taken for the object."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a baseline is told about an object: the first frame, its true mask, a click, and its box."""

    picture: Bytes
    truth: Mask
    click: Point
    box: tuple[Point, Point]

    @classmethod
    def of(cls, picture: Bytes, truth: Mask) -> "Start":
        """The click and the box that evaluation gives for a true mask."""
        return cls(picture, truth, centre_click(truth), box(truth))


Baseline = Callable[[Start, Bytes], Iterator[Mask]]
"""Yields the masks [H, W] of frames [T, H, W, 3], the first included."""


def flood(picture: Bytes, click: Point) -> Mask:
    """The patch around a click whose colours differ little from the clicked one."""
    height, width = picture.shape[:2]
    filled = np.zeros((height + 2, width + 2), np.uint8)
    smooth = cv2.GaussianBlur(picture, (3, 3), 0)
    flags = 4 | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY | (1 << 8)
    seed = int(click[0]), int(click[1])
    cv2.floodFill(smooth, filled, seed, 0, (FLOOD_TOLERANCE,) * 3, (FLOOD_TOLERANCE,) * 3, flags)
    closed = cv2.morphologyEx(filled[1:-1, 1:-1], cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    return np.asarray(closed > 0)


def frozen(start: Start, frames: Bytes) -> Iterator[Mask]:
    """The true first mask, kept: what a video without motion would score."""
    for _ in frames:
        yield start.truth


def flooded(start: Start, frames: Bytes) -> Iterator[Mask]:
    """Flood from the click, and then from the middle of the previous mask."""
    click = start.click
    for picture in frames:
        mask = flood(picture, click)
        yield mask
        if mask.any():
            click = centre_click(mask)


def _chromaticity(picture: Bytes) -> NDArray[np.float32]:
    smooth = cv2.GaussianBlur(picture, (3, 3), 0).astype(np.float32)
    return np.asarray(smooth / (smooth.sum(axis=-1, keepdims=True) + 1e-3) * 255, np.float32)


def coloured(start: Start, frames: Bytes) -> Iterator[Mask]:
    """Flood from the click; in later frames the largest patch of the same chromaticity, or nothing."""
    first = flood(start.picture, start.click)
    colour = np.median(_chromaticity(start.picture)[first], axis=0)
    yield first
    for picture in frames[1:]:
        near = np.abs(_chromaticity(picture) - colour).max(axis=-1) < COLOUR_TOLERANCE
        count, parts, stats, _ = cv2.connectedComponentsWithStats(near.astype(np.uint8), connectivity=4)
        largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()) if count > 1 else 0
        enough = largest > 0 and int(stats[largest, cv2.CC_STAT_AREA]) >= SMALLEST_PART
        yield np.asarray(parts == largest) if enough else np.zeros(near.shape, bool)


def boxed(start: Start, frames: Bytes) -> Iterator[Mask]:
    """The filled box of the first frame, kept."""
    mask = np.zeros(start.truth.shape, bool)
    (left, top), (right, bottom) = start.box
    mask[int(top) : int(bottom) + 1, int(left) : int(right) + 1] = True
    for _ in frames:
        yield mask


BASELINES: dict[str, Baseline] = {
    "first mask, frozen": frozen,
    "flood fill": flooded,
    "colour tracker": coloured,
    "filled box": boxed,
}
