"""The linear read-out of "object or background" from the cells of a feature map, and how well it tells them apart.

A ridge regression to +1 (object) and -1 (background), both classes weighted alike; features are standardised on the
cells that it is fitted on. Its judge is the area under the ROC curve: the share of pairs of an object's cell and a
background's in which the object's scores more, ties counted half (Mann and Whitney).
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from typing_extensions import Self

F32 = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

RIDGE = 0.1  # the penalty beside each class's weight of 1, on standardised features
FLAT = 1e-6  # of the mean deviation: a channel that varies less says nothing and is not blown up


@dataclass(frozen=True, eq=False)
class ReadOut:
    """scores = features @ weights + offset. weights: [channels], of features as they are, not standardised."""

    weights: F32
    offset: float

    @classmethod
    def fit(cls, features: F32, object_cells: BoolArray) -> Self:
        """Fit on one frame. features: [cells, channels]; object_cells: [cells], some of them true and some not."""
        fitted = _Fit(features, object_cells, np.float64)
        solution = np.linalg.solve(fitted.system, fitted.right)
        weights = solution[:-1] / fitted.deviation
        return cls(weights.astype(np.float32), float(solution[-1] - fitted.mean @ weights))

    def scores(self, features: F32) -> F32:
        """What each cell scores: +1 for the object it was fitted on, -1 for the background. Returns [cells]."""
        scores: F32 = features @ self.weights + np.float32(self.offset)
        return scores


def left_out_scores(features: F32, object_cells: BoolArray) -> F32:
    """What each cell scores under the read-out that is fitted on all cells but this one. Returns [cells] float32.

    In closed form: with h the leverage of a cell, (score - h target) / (1 - h). Standardisation and class weights are
    those of all cells.
    """
    fitted = _Fit(features, object_cells, np.float32)
    inverse = np.asarray(cv2.invert(fitted.system, flags=cv2.DECOMP_CHOLESKY)[1], np.float32)
    leverage = np.einsum("ij,ij->i", fitted.weighted @ inverse, fitted.weighted)
    scores = fitted.weighted @ (inverse @ fitted.right) / fitted.root
    left_out: F32 = (scores - leverage * fitted.target) / np.maximum(1 - leverage, np.float32(1e-6))
    return left_out


def separability(scores: npt.NDArray[np.floating], positive: BoolArray) -> tuple[float, float]:
    """Area under the ROC curve, .5 where all score alike; and `precision`, in the same pass where no scores tie.

    scores: [cells]. positive: [cells], of both kinds.
    """
    others, own = np.sort(scores[~positive]), np.sort(scores[positive])[::-1]
    below, not_above = np.searchsorted(others, own, "left"), np.searchsorted(others, own, "right")
    auc = float(below.sum() + not_above.sum()) / (2 * len(own) * len(others))
    if (below != not_above).any():
        return auc, precision(scores, positive)
    before = len(others) - below + np.arange(len(own))  # cells that score more than each of the object's
    return auc, float((before < len(own)).sum()) / len(own)


def precision(scores: npt.NDArray[np.floating], positive: BoolArray) -> float:
    """The share of the object's cells among as many cells that score most (precision at the object's size).

    Where scores tie at the last place, the mean over all ways to break the tie: all scores alike give the object's
    share of the frame. positive: [cells], some of them true.
    """
    ones = int(positive.sum())
    last = np.partition(scores, len(scores) - ones)[len(scores) - ones]
    above, level = scores > last, scores == last
    drawn = (ones - above.sum()) * positive[level].mean()
    return float((positive[above].sum() + drawn) / ones)


class _Fit:
    """A read-out's least squares.

    weighted: [cells, channels + 1], standardised features and ones, by the root of each row's weight.
    """

    def __init__(self, features: F32, object_cells: BoolArray, dtype: type[np.floating]) -> None:
        cells, channels = features.shape
        ones = int(object_cells.sum())
        self.target = np.where(object_cells, 1, -1).astype(dtype)
        self.root = np.sqrt(np.where(object_cells, 1 / ones, 1 / (cells - ones))).astype(dtype)
        self.mean = np.full(cells, 1 / cells, dtype) @ features.astype(dtype, copy=False)
        self.weighted = np.empty((cells, channels + 1), dtype)
        centred = self.weighted[:, :-1]
        np.subtract(features, self.mean, out=centred)
        deviation = np.sqrt(np.einsum("ij,ij->j", centred, centred) / cells).astype(dtype)
        self.deviation = np.maximum(deviation, FLAT * deviation.mean() or dtype(1))
        centred /= self.deviation
        self.weighted[:, -1] = 1
        self.weighted *= self.root[:, None]
        self.system = self.weighted.T @ self.weighted
        self.system[np.diag_indices(channels)] += dtype(RIDGE)
        self.right = self.weighted.T @ (self.root * self.target)
