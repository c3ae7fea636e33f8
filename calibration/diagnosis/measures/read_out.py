"""The linear read-out of "object or background" from the cells of a feature map, and how well it tells them apart.

A ridge regression to +1 (object) and -1 (background), both classes weighted alike; features are standardised on the
cells that it is fitted on. Its judge is the area under the ROC curve: the share of pairs of an object's cell and a
background's in which the object's scores more, ties counted half (Mann and Whitney).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

RIDGE = 0.1  # the penalty beside each class's weight of 1, on standardised features
FLAT = 1e-6  # of the mean deviation: a channel that varies less says nothing and is not blown up


@dataclass(frozen=True, eq=False)
class ReadOut:
    """scores = (features - mean) / deviation @ weights + offset. mean, deviation, weights: [channels] float64."""

    mean: F64
    deviation: F64
    weights: F64
    offset: float

    @classmethod
    def fit(cls, features: F32, object_cells: BoolArray) -> Self:
        """Fit on one frame. features: [cells, channels]; object_cells: [cells], some of them true and some not."""
        fitted = _Fit(features, object_cells, np.float64)
        solution = np.linalg.solve(fitted.system, fitted.weighted.T @ (fitted.root * fitted.target))
        return cls(fitted.mean, fitted.deviation, solution[:-1], float(solution[-1]))

    def scores(self, features: F32) -> F64:
        """What each cell scores: +1 for the object it was fitted on, -1 for the background. Returns [cells]."""
        scores: F64 = (features - self.mean) / self.deviation @ self.weights + self.offset
        return scores


def left_out_scores(features: F32, object_cells: BoolArray) -> F32:
    """What each cell scores under the read-out that is fitted on all cells but this one. Returns [cells] float32.

    In closed form: with h the leverage of a cell, (score - h target) / (1 - h). Standardisation and class weights are
    those of all cells.
    """
    fitted = _Fit(features, object_cells, np.float32)
    inverse = np.linalg.inv(fitted.system)
    moved = fitted.weighted @ inverse
    leverage = np.einsum("ij,ij->i", moved, fitted.weighted)
    scores = fitted.design @ (inverse @ (fitted.weighted.T @ (fitted.root * fitted.target)))
    left_out: F32 = (scores - leverage * fitted.target) / np.maximum(1 - leverage, np.float32(1e-6))
    return left_out


def roc_auc(scores: npt.NDArray[np.floating], positive: BoolArray) -> float:
    """Area under the ROC curve of scores [cells]; .5 where all score alike. positive: [cells], of both kinds."""
    _, where, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2  # of equal scores the mean of their ranks, from 1
    ones = int(positive.sum())
    return float((rank[where][positive].sum() - ones * (ones + 1) / 2) / (ones * (len(positive) - ones)))


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
    """A read-out's least squares. design: [cells, channels + 1], the last column ones; weighted: by each row's root."""

    def __init__(self, features: F32, object_cells: BoolArray, dtype: type[np.floating]) -> None:
        ones = int(object_cells.sum())
        self.target = np.where(object_cells, 1, -1).astype(dtype)
        self.root = np.sqrt(np.where(object_cells, 1 / ones, 1 / (len(object_cells) - ones))).astype(dtype)
        self.mean, deviation = features.mean(axis=0, dtype=dtype), features.std(axis=0, dtype=dtype)
        self.deviation = np.maximum(deviation, FLAT * deviation.mean() or dtype(1))
        self.design = np.empty((len(features), features.shape[1] + 1), dtype)
        self.design[:, :-1] = (features - self.mean) / self.deviation
        self.design[:, -1] = 1
        self.weighted = self.design * self.root[:, None]
        self.system = self.weighted.T @ self.weighted
        self.system[np.diag_indices(features.shape[1])] += dtype(RIDGE)
