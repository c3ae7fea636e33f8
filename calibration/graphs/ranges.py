"""Magnitudes of a tensor as a histogram whose range grows, and the methods that choose the limit for INT8 scales."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

BINS = 2048
PERCENTILE = 99.99
LEVELS = 128  # levels of magnitude in int8
STEP = 16  # bins between two limits that the entropy method compares

F64 = npt.NDArray[np.float64]


class Magnitudes:
    """The magnitudes of one tensor: the largest one, and a histogram of samples with a fixed number of bins.

    counts: [BINS] int64, in equal steps from 0 to `top`; for a larger number, neighbouring bins are merged.
    """

    def __init__(self, largest: float = 0.0, top: float = 0.0, counts: npt.NDArray[np.int64] | None = None) -> None:
        self.largest = largest
        self.top = top
        self.counts = np.zeros(BINS, np.int64) if counts is None else counts

    def add(self, largest: float, sample: npt.NDArray[np.float32] | None = None) -> None:
        """Add a tensor: its largest magnitude, and a sample of its values, of any shape."""
        self.largest = max(self.largest, largest)
        if sample is None or largest == 0:
            return
        self.top = self.top or largest
        while self.top < largest:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(1), np.zeros(BINS // 2, np.int64)])
            self.top *= 2
        places = np.minimum((np.abs(sample.ravel()) * (BINS / self.top)).astype(np.int64), BINS - 1)
        self.counts += np.bincount(places, minlength=BINS)


def limit_by_max(seen: Magnitudes) -> float:
    """The largest magnitude: nothing is clipped."""
    return seen.largest


def limit_by_percentile(seen: Magnitudes) -> float:
    """The magnitude that 99.99 % of the numbers do not exceed."""
    total = np.cumsum(seen.counts)
    if not total[-1]:
        return seen.largest
    reached = int(np.searchsorted(total, total[-1] * PERCENTILE / 100))
    return min(seen.largest, (reached + 1) * seen.top / BINS)


def limit_by_entropy(seen: Magnitudes) -> float:
    """The limit with the smallest Kullback-Leibler divergence (TensorRT's entropy calibrator, GTC 2017).

    For each limit, the distribution of the numbers below it, with larger ones added to the last bin, is compared with
    the same distribution on 128 levels. Zeros are left out: they are exact for every limit.
    """
    counts = seen.counts.astype(np.float64)
    counts[0] = 0
    if not counts.any():
        return seen.largest
    last = int(np.flatnonzero(counts)[-1]) + 1
    limits = range(LEVELS, max(last, LEVELS) + STEP, STEP)
    best = min((bins for bins in limits if bins <= BINS), key=lambda bins: _divergence(counts, bins))
    return min(seen.largest, best * seen.top / BINS)


METHODS: Mapping[str, Callable[[Magnitudes], float]] = {
    "max": limit_by_max,
    "percentile": limit_by_percentile,
    "entropy": limit_by_entropy,
}


def _divergence(counts: F64, bins: int) -> float:
    kept = counts[:bins]
    wanted = kept.copy()
    wanted[-1] += counts[bins:].sum()
    level = np.arange(bins) * LEVELS // bins
    filled = kept > 0
    totals = np.bincount(level, kept, LEVELS)
    shared = np.bincount(level, filled, LEVELS)
    found = np.where(filled, (totals / np.maximum(shared, 1))[level], 0.0)
    wanted, found = wanted / wanted.sum(), found / max(found.sum(), 1e-12)
    there = wanted > 0
    return float(np.sum(wanted[there] * np.log(wanted[there] / np.maximum(found[there], 1e-9))))
