"""The read-out against scikit-learn's ridge regression, and its judges against scikit-learn and a count by hand."""

import numpy as np
import pytest
from masklet.calibration.diagnosis.measures import read_out
from masklet.calibration.diagnosis.measures.read_out import ReadOut, left_out_scores, precision, separability
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

CELLS, CHANNELS = 120, 24


def made(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features whose channels differ in scale, and cells of which a few are the object's."""
    rng = np.random.default_rng(seed)
    cells = rng.random(CELLS) < 0.15
    features = rng.standard_normal((CELLS, CHANNELS)) + cells[:, None] * rng.standard_normal(CHANNELS)
    return (features * rng.uniform(0.01, 50, CHANNELS) + 7).astype(np.float32), cells


def ridge(features: np.ndarray, cells: np.ndarray, scaler: StandardScaler) -> Ridge:
    """scikit-learn's own, with both classes weighted alike."""
    weights = np.where(cells, 1 / cells.sum(), 1 / (~cells).sum())
    return Ridge(alpha=read_out.RIDGE).fit(scaler.transform(features), np.where(cells, 1, -1), sample_weight=weights)


def test_scores_are_those_of_scikit_learns_ridge() -> None:
    features, cells = made()
    later, _ = made(1)
    scaler = StandardScaler().fit(features.astype(np.float64))
    wanted = ridge(features, cells, scaler)
    fitted = ReadOut.fit(features, cells)
    for each in (features, later):
        np.testing.assert_allclose(fitted.scores(each), wanted.predict(scaler.transform(each)), atol=1e-5)


def test_left_out_scores_are_those_of_a_fit_without_the_cell() -> None:
    features, cells = made(2)
    scaler = StandardScaler().fit(features.astype(np.float64))
    weights = np.where(cells, 1 / cells.sum(), 1 / (~cells).sum())
    x, y = scaler.transform(features), np.where(cells, 1, -1)
    wanted = []
    for cell in range(CELLS):
        others = np.arange(CELLS) != cell
        without = Ridge(alpha=read_out.RIDGE).fit(x[others], y[others], sample_weight=weights[others])
        wanted.append(without.predict(x[[cell]])[0])
    np.testing.assert_allclose(left_out_scores(features, cells), wanted, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("levels", [2, 7, 10**6])  # scores that tie, and scores that do not
def test_area_under_the_curve_is_scikit_learns(levels: int) -> None:
    rng = np.random.default_rng(levels)
    cells = rng.random(300) < 0.2
    scores = rng.integers(0, levels, 300) + cells * levels / 4
    auc, found = separability(scores, cells)
    assert auc == pytest.approx(roc_auc_score(cells, scores), abs=1e-12)
    assert found == pytest.approx(precision(scores, cells), abs=1e-12)


def test_precision_counts_the_objects_cells_among_those_that_score_most() -> None:
    cells = np.array([True, True, False, False, False, True])
    assert precision(np.array([9.0, 8, 7, 1, 0, 2]), cells) == pytest.approx(2 / 3)
    assert precision(np.array([9.0, 8, 1, 1, 0, 7]), cells) == 1
    assert precision(-np.array([9.0, 8, 7, 1, 0, 7]), cells) == pytest.approx((0 + 0.5) / 3)  # two tie for the third


def test_ties_give_what_breaking_them_at_random_gives() -> None:
    rng = np.random.default_rng(0)
    cells = rng.random(40) < 0.3
    scores = rng.integers(0, 5, 40).astype(float)
    ones = int(cells.sum())
    drawn = [cells[np.lexsort((rng.random(40), -scores))[:ones]].mean() for _ in range(20000)]
    assert precision(scores, cells) == pytest.approx(np.mean(drawn), abs=5e-3)


@pytest.mark.parametrize("features", [np.zeros((50, 8), np.float32), np.full((50, 8), 3.0, np.float32)])
def test_features_without_a_difference_tell_nothing(features: np.ndarray) -> None:
    cells = np.arange(50) < 10
    for scores in (ReadOut.fit(features, cells).scores(features),):
        assert separability(scores, cells) == pytest.approx((0.5, 0.2))
    assert np.isfinite(left_out_scores(features, cells)).all()
