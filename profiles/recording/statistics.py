"""Statistics of latencies."""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt
from masklet.runtime.errors import MaskletError

F64 = npt.NDArray[np.float64]


class Latency(msgspec.Struct, frozen=True):
    """Durations in milliseconds; percentiles are interpolated linearly, as in numpy."""

    calls: int
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    mean_ms: float
    total_ms: float


def latency(ns: Sequence[int]) -> Latency:
    """Statistics of durations in nanoseconds. Raises MaskletError if there are none."""
    if not ns:
        raise MaskletError("nothing was timed, so there is no latency")
    ms: F64 = np.asarray(ns, np.float64) / 1e6
    p50, p90, p95, p99 = np.percentile(ms, (50, 90, 95, 99)).tolist()
    return Latency(len(ms), p50, p90, p95, p99, float(ms.max()), float(ms.mean()), float(ms.sum()))


def median(values: Sequence[float]) -> float:
    """The median; 0 if there are no values."""
    return float(np.median(values)) if len(values) else 0.0
