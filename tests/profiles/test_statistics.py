"""Percentiles against numpy's, and what they promise of any measurement."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from masklet.profiles.recording.statistics import latency, median
from masklet.runtime.errors import MaskletError

DURATIONS = st.lists(st.integers(1, 10**11), min_size=1, max_size=200)


@given(DURATIONS)
def test_percentiles_are_numpys(ns: list[int]) -> None:
    found = latency(ns)
    ms = np.array(ns) / 1e6
    wanted = np.percentile(ms, [50, 90, 95, 99, 100])
    assert (found.p50_ms, found.p90_ms, found.p95_ms, found.p99_ms, found.max_ms) == pytest.approx(wanted.tolist())
    assert found.calls == len(ns)
    assert found.total_ms == pytest.approx(ms.sum())
    assert found.mean_ms == pytest.approx(ms.mean())


@given(DURATIONS)
def test_percentiles_rise(ns: list[int]) -> None:
    found = latency(ns)
    rising = [min(ns) / 1e6, found.p50_ms, found.p90_ms, found.p95_ms, found.p99_ms, found.max_ms]
    assert all(a <= b * (1 + 1e-12) for a, b in itertools.pairwise(rising))


def test_nothing_timed_is_an_error() -> None:
    with pytest.raises(MaskletError, match="nothing was timed"):
        latency([])


def test_the_median_of_nothing_is_zero() -> None:
    assert median([]) == 0.0
    assert median([3.0, 1.0, 2.0]) == 2.0
