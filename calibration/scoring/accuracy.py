"""Accuracy of masks against true masks: J (region), F (boundary) and their mean, as defined by DAVIS.

Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation" (CVPR 2016),
section 4, with the tolerance and the conventions for empty masks of its evaluation code.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]

TOLERANCE = 0.008
"""Tolerance between boundaries, as a share of the image diagonal (DAVIS: bound_th)."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Region similarity J and contour accuracy F of a mask, or their means over several masks, 0..1."""

    J: float
    F: float

    def __post_init__(self) -> None:
        if not (0 <= self.J <= 1 and 0 <= self.F <= 1):
            raise ValueError(f"J {self.J} and F {self.F}: expected values in 0..1")

    @property
    def JF(self) -> float:  # noqa: N802 - the name of the measure
        """J&F: the mean of both."""
        return (self.J + self.F) / 2


def _check(predicted: BoolArray, true: BoolArray) -> None:
    if predicted.ndim != 2 or predicted.shape != true.shape:
        raise ValueError(f"masks of {list(predicted.shape)} and {list(true.shape)}: expected one shape [H, W]")


def region_similarity(predicted: BoolArray, true: BoolArray) -> float:
    """J: intersection over union of two masks [H, W]. 1 if both are empty."""
    _check(predicted, true)
    either = np.count_nonzero(predicted | true)
    return np.count_nonzero(predicted & true) / either if either else 1.0


def boundary(mask: BoolArray) -> BoolArray:
    """The boundary of a mask [H, W]: pixels that differ from the right, lower or lower right neighbour.

    DAVIS's seg2bmap at equal size: one pixel wide, shifted towards the upper left, none along the edge of the image.
    """
    right, lower, diagonal = mask.copy(), mask.copy(), mask.copy()
    right[:, :-1] = mask[:, 1:]
    lower[:-1] = mask[1:]
    diagonal[:-1, :-1] = mask[1:, 1:]
    edge = (mask ^ right) | (mask ^ lower) | (mask ^ diagonal)
    edge[-1] = mask[-1] ^ right[-1]
    edge[:, -1] = mask[:, -1] ^ lower[:, -1]
    edge[-1, -1] = False
    return edge


def _disk(radius: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk: NDArray[np.uint8] = (x * x + y * y <= radius * radius).astype(np.uint8)
    return disk


def _grown(edge: BoolArray, disk: NDArray[np.uint8]) -> BoolArray:
    return cv2.dilate(edge.astype(np.uint8), disk, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0


def contour_accuracy(predicted: BoolArray, true: BoolArray, tolerance: float = TOLERANCE) -> float:
    """F: harmonic mean of the shares of each boundary that lie near the other one.

    tolerance: share of the diagonal, rounded up to whole pixels; 1 or more: pixels.
    If only one mask has a boundary F is 0, if neither has one F is 1 (DAVIS's db_eval_boundary).
    """
    _check(predicted, true)
    radius = tolerance if tolerance >= 1 else tolerance * math.hypot(*predicted.shape)
    disk = _disk(math.ceil(radius))
    predicted_edge, true_edge = boundary(predicted), boundary(true)
    predicted_length, true_length = np.count_nonzero(predicted_edge), np.count_nonzero(true_edge)
    if not predicted_length or not true_length:
        return float(predicted_length == true_length)
    precision = np.count_nonzero(predicted_edge & _grown(true_edge, disk)) / predicted_length
    recall = np.count_nonzero(true_edge & _grown(predicted_edge, disk)) / true_length
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def accuracy(predicted: BoolArray, true: BoolArray, tolerance: float = TOLERANCE) -> Accuracy:
    """J and F of one mask [H, W] against the true one. Raises ValueError if shapes differ."""
    return Accuracy(region_similarity(predicted, true), contour_accuracy(predicted, true, tolerance))


def mean_accuracy(each: Iterable[Accuracy]) -> Accuracy:
    """Mean J and mean F. Raises ValueError if there is nothing to average."""
    values = list(each)
    if not values:
        raise ValueError("no masks to average over")
    return Accuracy(
        math.fsum(value.J for value in values) / len(values), math.fsum(value.F for value in values) / len(values)
    )
