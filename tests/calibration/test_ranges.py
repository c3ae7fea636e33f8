"""Ranges against numpy on all numbers at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from masklet.calibration.graphs.ranges import BINS, METHODS, Magnitudes


def seen(parts: list[np.ndarray]) -> Magnitudes:
    magnitudes = Magnitudes()
    for part in parts:
        magnitudes.add(float(np.abs(part).max()), part.astype(np.float32))
    return magnitudes


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.floats(0.01, 1000), min_size=1, max_size=6))
def test_nothing_is_lost_when_larger_numbers_come(seed: int, scales: list[float]) -> None:
    rng = np.random.default_rng(seed)
    parts = [rng.normal(0, scale, 500) for scale in scales]
    found, every = seen(parts), np.abs(np.concatenate(parts))
    assert found.counts.sum() == len(every)
    assert METHODS["max"](found) == pytest.approx(every.max())
    width = found.top / BINS
    assert METHODS["percentile"](found) == pytest.approx(np.percentile(every, 99.99, method="higher"), abs=2 * width)


def test_entropy_cuts_an_outlier_off_and_keeps_a_full_range() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.normal(0, 1, 100_000)
    assert METHODS["entropy"](seen([np.append(numbers, 60.0)])) < 15
    uniform = rng.uniform(-1, 1, 100_000)
    assert METHODS["entropy"](seen([uniform])) == pytest.approx(1.0, abs=0.05)


def test_a_tensor_of_zeros_has_no_range() -> None:
    found = seen([np.zeros(10)])
    assert [method(found) for method in METHODS.values()] == [0, 0, 0]
