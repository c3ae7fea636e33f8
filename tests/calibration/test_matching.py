"""Instances matched by their masks, against an assignment that is solved, and what their scores come to."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from masklet.calibration.clips.clips import Clip
from masklet.calibration.scoring.closed_loop import Evaluation
from masklet.calibration.scoring.matching import match
from masklet.calibration.scoring.scores import FrameScore, scorer
from masklet.runtime.concepts.concept import Concept
from masklet.runtime.pixels.geometry import boxes_xyxy
from masklet.runtime.results import Finding, Frame, FrameResult
from pycocotools import mask as coco
from scipy.optimize import linear_sum_assignment

HW = (24, 32)
Bools = npt.NDArray[np.bool_]


def result(
    masks: Bools, phrases: list[str] | None = None, ids: list[int] | None = None, scores: list[float] | None = None
) -> FrameResult:
    count = len(masks)
    return FrameResult(
        0,
        0.0,
        np.array(ids or range(1, count + 1), np.int64),
        masks,
        boxes_xyxy(masks),
        np.array(scores or [0.9] * count, np.float32),
        tuple(Finding(phrase, 0.9) for phrase in phrases or ["car"] * count),
    )


def square(x: int, y: int, side: int = 8) -> Bools:
    mask = np.zeros(HW, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def regions(seed: int, moved: int) -> Bools:
    """Masks that share no pixel: what lies nearest to each of some points, here and there cut away."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 1, (int(rng.integers(1, 6)), 2)) * HW
    points += np.random.default_rng([seed, moved]).normal(0, moved, points.shape)
    rows, columns = np.mgrid[: HW[0], : HW[1]]
    far = np.hypot(rows - points[:, 0, None, None], columns - points[:, 1, None, None])
    masks: Bools = (far == far.min(axis=0)) & (far < 9)
    return masks


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 3))
def test_pairs_are_those_of_the_best_assignment(seed: int, moved: int) -> None:
    masks, others = regions(seed, 0), regions(seed, moved)
    ious = np.zeros((len(masks), len(others)))
    runs = [coco.encode(np.asfortranarray(each.transpose(1, 2, 0).astype(np.uint8))) for each in (masks, others)]
    ious[:] = coco.iou(runs[0], runs[1], [0] * len(others))
    rows, columns = linear_sum_assignment(np.where(ious > 0.5, -ious, 0))
    wanted = {(n, m): ious[n, m] for n, m in zip(rows.tolist(), columns.tolist(), strict=True) if ious[n, m] > 0.5}
    found = match(result(masks), result(others))
    assert {(n, m): iou for n, m, iou in found.pairs} == pytest.approx(wanted)
    there, others_there = (set(np.flatnonzero(each.any(axis=(1, 2))).tolist()) for each in (masks, others))
    assert set(found.lost) == there - {n for n, _ in wanted}
    assert set(found.gained) == others_there - {m for _, m in wanted}


def test_of_masks_that_share_pixels_the_most_alike_are_the_same() -> None:
    low = np.stack([square(1, 0), square(0, 0), square(2, 0)])
    found = match(result(square(0, 0)[None]), result(low))
    assert found.pairs == [(0, 1, 1.0)]
    assert found.gained == [0, 2]


def test_another_phrase_is_another_thing_and_nothing_is_neither() -> None:
    masks = np.stack([square(0, 0), square(16, 8), np.zeros(HW, bool)])
    found = match(result(masks, ["car", "bus", "car"]), result(masks, ["car", "car", "car"]))
    assert found.pairs == [(0, 0, 1.0)]
    assert (found.lost, found.gained) == ([1], [1])
    none = match(result(masks[:0]), result(masks))
    assert (none.pairs, none.lost, none.gained) == ([], [], [0, 1])


def test_what_is_lost_gained_and_switched_counts() -> None:
    left, right, shifted = square(0, 0), square(20, 10), square(1, 0)
    clip = Clip("clip", {}, {"start": 5}, (Concept("car"),))
    score = scorer(0, clip)
    scores: list[FrameScore] = []
    frames = [
        (result(np.stack([left, right])), result(np.stack([right, shifted]), ids=[7, 8], scores=[0.9, 0.6])),
        (result(np.stack([left, right])), result(left[None], ids=[8])),
        (result(np.stack([left, right])), result(np.stack([left, right]), ids=[9, 7])),
        (result(left[None]), result(np.stack([left, right]), ids=[9, 7])),
    ]
    for place, (full, low) in enumerate(frames):
        scores += score(Frame(5 + 2 * place, 0.0, np.zeros((*HW, 3), np.uint8)), full, low)
    found = Evaluation(scores, [])
    figures = found.figures
    assert (figures.frames, figures.lost, figures.gained, figures.switched) == (4, 1, 1, 1)
    assert figures.matched_iou == pytest.approx((7 / 9 + 5) / 6)
    assert figures.score_difference == pytest.approx(0.3 / 6)
    assert figures.iou == pytest.approx((7 / 9 + 5) / 8)
    assert figures.least_iou == 0.5
    assert [n for n, _ in found.curve()] == [0, 2, 4, 6]
