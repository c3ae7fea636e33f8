"""Estimates the camera motion between two frames: one similarity transform for the whole picture.

Corners are tracked by pyramidal Lucas-Kanade on a small grey frame, and RANSAC excludes moving objects (OpenCV:
goodFeaturesToTrack, calcOpticalFlowPyrLK, estimateAffinePartial2D).
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.pixels.geometry import U8

LONGER_SIDE = 256  # longer side of the small frame, in pixels
CORNERS, LEAST_CORNERS = 150, 12
QUALITY, DISTANCE = 0.01, 8.0  # of corners: minimum share of the best one's strength, minimum distance in pixels
MISS = 1.5  # pixels by which a tracked corner may deviate from the motion


@dataclass(frozen=True, slots=True)
class CameraMove:
    """Maps a point of the previous frame to the current one: (x, y) -> (xx x + xy y + right, yx x + yy y + down).

    Coordinates are shares of the frame's width and height, and therefore also of the model's input.
    """

    xx: float
    xy: float
    right: float
    yx: float
    yy: float
    down: float

    def within(self, height: float, width: float) -> "CameraMove":
        """The same motion in pixels of a picture of that size."""
        return replace(
            self,
            xy=self.xy * (width / height),
            right=self.right * width,
            yx=self.yx * (height / width),
            down=self.down * height,
        )

    def point(self, x: float, y: float) -> tuple[float, float]:
        """The current position of a point."""
        return self.xx * x + self.xy * y + self.right, self.yx * x + self.yy * y + self.down

    def direction(self, x: float, y: float) -> tuple[float, float]:
        """The current direction of a vector."""
        return self.xx * x + self.xy * y, self.yx * x + self.yy * y

    @property
    def scale(self) -> float:
        """The factor by which lengths changed."""
        return math.sqrt(abs(self.xx * self.yy - self.xy * self.yx))


class CameraMotion:
    """The motion of one camera. before: the previous small grey frame; None if there is none."""

    def __init__(self, before: U8 | None = None) -> None:
        self.before = before

    def update(self, image: U8) -> CameraMove | None:
        """The move from the frame before to this one [h, w, 3]; None where there is none, or it cannot be made out."""
        before, now = self.before, _small(image)
        self.before = now
        if before is None or before.shape != now.shape:
            return None
        corners = cv2.goodFeaturesToTrack(before, CORNERS, QUALITY, DISTANCE)
        if corners is None or len(corners) < LEAST_CORNERS:
            return None
        followed, found, _ = cv2.calcOpticalFlowPyrLK(before, now, corners, np.empty_like(corners))
        there = found[:, 0] == 1
        if there.sum() < LEAST_CORNERS:
            return None
        cv2.setRNGSeed(0)  # RANSAC draws from it
        matrix, agree = cv2.estimateAffinePartial2D(corners[there], followed[there], ransacReprojThreshold=MISS)
        if matrix is None or agree.sum() < LEAST_CORNERS:
            return None
        return _shares(matrix, *now.shape)


def _small(image: U8) -> U8:
    height, width = image.shape[:2]
    factor = min(1.0, LONGER_SIDE / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY), np.uint8)


def _shares(matrix: Tensor, height: int, width: int) -> CameraMove:
    """A move of pixel centres as one of shares of the sides."""
    (xx, xy, right), (yx, yy, down) = matrix.tolist()
    right, down = right + (1 - xx - xy) / 2, down + (1 - yx - yy) / 2  # centres lie half a pixel inside
    return CameraMove(xx, xy * height / width, right / width, yx * width / height, yy, down / height)
