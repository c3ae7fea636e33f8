"""The figures of a table, and the baselines they are held against, on scenes small enough to count by hand."""

import math

import numpy as np
import pytest
from baselines import BASELINES, Start
from clicks import NEGATIVE, POSITIVE, box, centre_click, correction, random_click
from numpy.typing import NDArray
from scenes import render
from scoring import Track, figures

Masks = NDArray[np.bool_]


def clip(shown: str) -> Masks:
    """One 16x16 square per frame: # shows it, . hides it, - leaves a sliver."""
    masks = np.zeros((len(shown), 64, 64), bool)
    for frame, sign in enumerate(shown):
        masks[frame, 10:26, 10:26] = sign == "#"
        masks[frame, 10:12, 10] = sign == "-"
    return masks


def test_figures_count_visible_absent_and_returning_frames() -> None:
    true, found = clip("###..##-##"), clip("##.#...-##")
    scored = figures([Track(found, true)], fps=30.0)
    assert pytest.approx(3 / 6) == scored.J  # frames 1, 2, 5, 6, 8, 9; the sliver does not count
    assert scored.J_first == 1.0
    assert scored.absent_false_positive_rate == 0.5
    assert scored.recovery_rate == 1.0  # found again in the third visible frame of its return
    assert pytest.approx((scored.J + scored.F) / 2) == scored.JF


def test_a_late_recovery_does_not_count() -> None:
    assert figures([Track(clip("##......" + "#......#"), clip("##......" + "########"))], 1.0).recovery_rate == 1.0
    assert figures([Track(clip("##......" + ".......#"), clip("##......" + "########"))], 1.0).recovery_rate == 0.0


def test_what_never_happened_is_no_figure() -> None:
    scored = figures([Track(clip("##"), clip("##"))], 30.0)
    assert math.isnan(scored.recovery_rate)
    assert scored.as_json() == {
        "J": 1.0, "F": 1.0, "JF": 1.0, "J_first": 1.0,
        "absent_false_positive_rate": None, "recovery_rate": None, "fps": 30.0,
    }  # fmt: skip


def test_clicks_lie_where_they_should() -> None:
    rng, mask = np.random.default_rng(0), clip("#")[0]
    x, y = centre_click(mask)
    assert 16 <= x <= 19
    assert 16 <= y <= 19
    assert box(mask) == ((10.0, 10.0), (25.0, 25.0))
    for _ in range(20):
        x, y = random_click(mask, rng)
        assert mask[int(y), int(x)]
    with pytest.raises(ValueError, match="empty"):
        random_click(np.zeros((4, 4), bool), rng)


def test_a_correction_clicks_into_the_largest_error() -> None:
    true = clip("#")[0]
    missing, extra = true.copy(), true.copy()
    missing[10:26, 18:26] = False
    extra[40:60, 40:60] = True
    (x, y), label = correction(missing, true)
    assert label == POSITIVE
    assert 18 <= x <= 25
    (x, y), label = correction(extra, true)
    assert label == NEGATIVE
    assert 40 <= x < 60
    assert 40 <= y < 60


@pytest.mark.parametrize("name", list(BASELINES))
def test_baselines_yield_a_mask_a_frame(name: str) -> None:
    scene = render("plain", 2, frames=5)
    true = scene.labels == 1
    start = Start.of(scene.frames[0], true[0])
    masks = list(BASELINES[name](start, scene.frames))
    assert [mask.shape for mask in masks] == [true[0].shape] * 5
    x, y = start.click
    assert masks[0][int(y), int(x)]
    assert all(mask.dtype == bool for mask in masks)


def test_the_colour_tracker_follows_a_distinct_colour() -> None:
    frames = np.full((4, 64, 64, 3), 120, np.uint8)
    true = np.zeros((4, 64, 64), bool)
    for frame in range(4):
        true[frame, 20:40, 5 + 10 * frame : 25 + 10 * frame] = True
    true[3] = False
    frames[true] = (220, 30, 40)
    found = np.stack(list(BASELINES["colour tracker"](Start.of(frames[0], true[0]), frames)))
    scored = figures([Track(found, true)], 1.0)
    assert scored.J > 0.75  # smoothing costs a rim of one pixel
    assert scored.absent_false_positive_rate == 0.0
