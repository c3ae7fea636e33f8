"""J and F against definitions written out anew: distances for boundaries, sets for regions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from masklet.calibration.scoring.accuracy import (
    Accuracy,
    accuracy,
    boundary,
    contour_accuracy,
    mean_accuracy,
    region_similarity,
)
from numpy.typing import NDArray

Bools = NDArray[np.bool_]


def blob(seed: int, height: int, width: int) -> Bools:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    mask = np.zeros((height, width), bool)
    for _ in range(int(rng.integers(0, 3))):
        cy, cx = rng.uniform(0, height), rng.uniform(0, width)
        mask |= ((y - cy) / rng.uniform(2, 9)) ** 2 + ((x - cx) / rng.uniform(2, 9)) ** 2 < 1
    return mask


def edge_set(mask: Bools) -> set[tuple[int, int]]:
    """A pixel is on the boundary if its right, lower or diagonal neighbour inside the picture differs."""
    height, width = mask.shape
    edge = set()
    for row in range(height):
        for column in range(width):
            steps = [(0, 1), (1, 0), (1, 1)]
            near = [(row + i, column + j) for i, j in steps if row + i < height and column + j < width]
            if any(mask[row, column] != mask[place] for place in near):
                edge.add((row, column))
    return edge


def f_by_distance(found: Bools, true: Bools, pixels: int) -> float:
    a, b = edge_set(found), edge_set(true)
    if not a or not b:
        return float(not a and not b)

    def share(these: set[tuple[int, int]], those: set[tuple[int, int]]) -> float:
        return sum(any(math.dist(p, q) <= pixels for q in those) for p in these) / len(these)

    precision, recall = share(a, b), share(b, a)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(12, 30), st.integers(12, 30), st.integers(1, 4))
def test_f_matches_distances_between_boundary_pixels(a: int, b: int, height: int, width: int, pixels: int) -> None:
    found, true = blob(a, height, width), blob(b, height, width)
    assert contour_accuracy(found, true, pixels) == pytest.approx(f_by_distance(found, true, pixels))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_j_is_the_jaccard_index_of_pixel_sets(a: int, b: int) -> None:
    found, true = blob(a, 20, 25), blob(b, 20, 25)
    one, other = set(np.flatnonzero(found)), set(np.flatnonzero(true))
    expected = len(one & other) / len(one | other) if one | other else 1.0
    assert region_similarity(found, true) == pytest.approx(expected)


def test_the_tolerance_is_a_share_of_the_diagonal_rounded_up() -> None:
    true = np.zeros((128, 128), bool)
    true[40:80, 40:80] = True
    for shift, expected in ((2, 1.0), (3, 0.0)):  # 0.008 of 181 pixels is 1.45, so 2
        line = contour_accuracy(np.roll(true, shift, axis=1)[50:70, :], true[50:70, :], tolerance=2)
        assert line == expected
    assert contour_accuracy(np.roll(true, 2, axis=1), true) == 1.0
    assert contour_accuracy(np.roll(true, 4, axis=1), true) < 1.0


def test_the_boundary_is_one_pixel_wide_and_open_at_the_edge_of_the_picture() -> None:
    mask = np.zeros((6, 7), bool)
    mask[2:4, 3:7] = True
    rows, columns = np.nonzero(boundary(mask))
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == edge_set(mask)


@pytest.mark.parametrize(("found", "true", "j", "f"), [(0, 0, 1.0, 1.0), (1, 0, 0.0, 0.0), (0, 1, 0.0, 0.0)])
def test_empty_masks(found: int, true: int, j: float, f: float) -> None:
    square = np.zeros((20, 20), bool)
    square[5:9, 5:9] = True
    result = accuracy(square & bool(found), square & bool(true))
    assert (j, f) == (result.J, result.F)


def test_means_and_bad_input() -> None:
    assert mean_accuracy([Accuracy(1.0, 0.5), Accuracy(0.5, 0.0)]) == Accuracy(0.75, 0.25)
    assert Accuracy(0.5, 0.25).JF == 0.375
    with pytest.raises(ValueError, match="no masks"):
        mean_accuracy([])
    with pytest.raises(ValueError, match=r"\[4, 4\] and \[4, 5\]"):
        accuracy(np.zeros((4, 4), bool), np.zeros((4, 5), bool))
    with pytest.raises(ValueError, match=r"0\.\.1"):
        Accuracy(1.5, 0.0)
