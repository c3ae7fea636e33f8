"""Geometry against torch's interpolate, scipy's labelling and pycocotools' boxes."""

from random import Random

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from masklet.runtime.pixels.geometry import (
    F32,
    BoolArray,
    boxes_xyxy,
    content_hw,
    fill_holes,
    logits_to_source,
    masks_to_source,
    non_overlapping,
    resize_mask,
    to_model_points,
)
from pycocotools import mask as coco
from scipy import ndimage


def logits(count: int, height: int, width: int, seed: int = 0) -> F32:
    """Smooth scores of both signs, as a decoder gives them."""
    noise = np.random.default_rng(seed).standard_normal((count, 12, 12)).astype(np.float32)
    return np.stack([5 * cv2.resize(n, (width, height), interpolation=cv2.INTER_CUBIC) for n in noise])


def test_points_match_a_homography() -> None:
    points = np.random.default_rng(0).uniform(0, 1920, (50, 2)).astype(np.float32)
    scale = np.diag([1024 / 1920, 1024 / 1080, 1]).astype(np.float64)
    want = cv2.perspectiveTransform(points[None].astype(np.float64), scale)[0]
    np.testing.assert_allclose(to_model_points(points, (1080, 1920), 1024), want, rtol=1e-6)


@given(
    st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)),
    st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    st.sampled_from([96, 512, 1024]),
)
def test_points_come_back(share: tuple[float, float], hw: tuple[int, int], side: int) -> None:
    height, width = hw
    there = np.array([[share[0] * width, share[1] * height]], np.float32)
    model = to_model_points(there, hw, side)
    assert (model >= 0).all()
    assert (model <= side * (1 + 1e-6)).all()
    back = model / side * np.array([width, height], np.float32)
    np.testing.assert_allclose(back, there, rtol=1e-5, atol=1e-4)


SOURCES = [(540, 960), (1080, 1920), (720, 480), (256, 256), (100, 37), (1, 9), (333, 257), (64, 64)]


@pytest.mark.parametrize("hw", SOURCES)
def test_masks_are_upsampled_as_torch_does(hw: tuple[int, int]) -> None:
    scores = logits(3, 256, 256)
    want = torch.nn.functional.interpolate(torch.tensor(scores)[None], size=hw, mode="bilinear")[0].numpy()
    got = masks_to_source(scores, hw)
    assert got.shape == (3, *hw)
    assert got.dtype == np.bool_
    undecided = np.abs(want) < 1e-4
    np.testing.assert_array_equal(got | undecided, (want > 0) | undecided)
    assert undecided.mean() < 1e-3


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([(135, 240), (60, 80), (31, 97), (20, 20)]),
    st.randoms(use_true_random=False),
)
@settings(deadline=None)
def test_a_small_object_is_upsampled_as_within_the_whole(h: int, w: int, hw: tuple[int, int], random: Random) -> None:
    scores = np.full((1, h, w), -3, np.float32)
    y, x = random.randrange(h), random.randrange(w)
    scores[0, y : y + random.randint(1, 6), x : x + random.randint(1, 6)] = random.uniform(0.1, 20)
    want = torch.nn.functional.interpolate(torch.tensor(scores)[None], size=hw, mode="bilinear")[0].numpy()
    decided = np.abs(want) > 1e-3
    np.testing.assert_array_equal(masks_to_source(scores, hw)[decided], (want > 0)[decided])


def test_pixels_go_to_one_object_where_asked() -> None:
    scores = logits(4, 64, 64)
    want = torch.nn.functional.interpolate(torch.tensor(scores)[None], size=(120, 90), mode="bilinear")
    want = meta_non_overlapping(want[0][:, None])[:, 0]
    got = masks_to_source(scores, (120, 90), non_overlapping=True)
    assert got.sum(axis=0).max() == 1
    assert (got != (want > 0).numpy()).mean() < 1e-4


def test_no_object_gives_no_mask() -> None:
    assert masks_to_source(np.zeros((0, 64, 64), np.float32), (10, 20)).shape == (0, 10, 20)
    assert boxes_xyxy(np.zeros((0, 10, 20), bool)).shape == (0, 4)


def meta_non_overlapping(scores: torch.Tensor) -> torch.Tensor:
    """sam2_base.py 891-909, for [N, 1, H, W]."""
    winner = torch.argmax(scores, dim=0, keepdim=True)
    keep = winner == torch.arange(scores.size(0))[:, None, None, None]
    return torch.where(keep, scores, torch.clamp(scores, max=-10.0))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_non_overlapping_is_metas(count: int) -> None:
    scores = np.round(logits(count, 30, 40))  # rounding makes ties
    want = meta_non_overlapping(torch.tensor(scores)[:, None])[:, 0].numpy() if count > 1 else scores
    np.testing.assert_array_equal(non_overlapping(scores), want)


MASKS = [(540, 960), (1080, 1920), (720, 480), (1024, 1024), (100, 37), (2048, 512), (333, 2000), (1, 9), (2049, 3)]


@pytest.mark.parametrize("hw", MASKS)
@pytest.mark.parametrize("side", [512, 1024])
def test_mask_prompts_are_resized_as_torch_does(hw: tuple[int, int], side: int) -> None:
    mask = logits(1, *hw)[0] > 0
    grey = torch.tensor(mask, dtype=torch.float32)[None, None]
    want = torch.nn.functional.interpolate(grey, size=(side, side), mode="bilinear", antialias=True)[0, 0].numpy()
    got = resize_mask(mask, side)
    assert got.dtype == np.uint8
    undecided = np.abs(want - 0.5) < 1e-5
    np.testing.assert_array_equal(got[~undecided], (want >= 0.5)[~undecided])
    assert set(np.unique(got)) <= {0, 1}
    assert undecided.mean() < 0.01


def test_a_mask_of_the_models_size_stays_as_it_is() -> None:
    mask = np.random.default_rng(0).random((96, 96)) > 0.5
    np.testing.assert_array_equal(resize_mask(mask, 96), mask)


def filled_by_scipy(scores: F32, max_area: int) -> F32:
    """sam2 misc.py, fill_holes_in_mask_scores, with scipy's components in the place of the CUDA kernel's."""
    labels, count = ndimage.label(scores <= 0, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    hole = (labels > 0) & (areas[labels] <= max_area)
    return np.where(hole, np.float32(0.1), scores)


@given(
    arrays(np.int8, st.tuples(st.integers(1, 24), st.integers(1, 24)), elements=st.sampled_from([-1, 0, 1, 1, 1])),
    st.integers(1, 9),
)
@settings(deadline=None)
def test_holes_are_filled_as_by_labelling(signs: npt.NDArray[np.int8], max_area: int) -> None:
    scores = signs.astype(np.float32)
    before = scores.copy()
    np.testing.assert_array_equal(fill_holes(scores[None, None], max_area)[0, 0], filled_by_scipy(scores, max_area))
    np.testing.assert_array_equal(scores, before)


def test_holes_are_filled_at_full_size() -> None:
    scores = np.random.default_rng(0).standard_normal((2, 256, 256)).astype(np.float32) + 1.2
    scores[1, :, 40:] = -5.0
    want = np.stack([filled_by_scipy(s, 8) for s in scores])
    assert (want != scores).any()
    np.testing.assert_array_equal(fill_holes(scores), want)


@given(arrays(np.bool_, st.tuples(st.integers(1, 4), st.integers(1, 20), st.integers(1, 20))))
@settings(deadline=None)
def test_boxes_are_those_of_pycocotools(masks: BoolArray) -> None:
    boxes = boxes_xyxy(masks)
    assert boxes.dtype == np.float32
    for mask, box in zip(masks, boxes, strict=True):
        x, y, width, height = coco.toBbox(coco.encode(np.asfortranarray(mask.astype(np.uint8))))
        want = [x, y, x + width, y + height] if mask.any() else [0, 0, 0, 0]
        assert box.tolist() == want


@pytest.mark.parametrize("hw", [(90, 160), (160, 90), (1, 300)], ids=str)
def test_logits_of_a_fitted_frame_come_back_as_sam_brings_them(hw: tuple[int, int]) -> None:
    """Sam.postprocess_masks: to the square, cut, to the image; both steps bilinear."""
    side = 128
    low = torch.from_numpy(np.random.default_rng(1).normal(0, 4, (2, 3, side // 4, side // 4)).astype(np.float32))
    rows, columns = content_hw(hw, side, "longest_side")
    square = torch.nn.functional.interpolate(low, size=(side, side), mode="bilinear", align_corners=False)
    want = torch.nn.functional.interpolate(square[..., :rows, :columns], size=hw, mode="bilinear", align_corners=False)
    got = logits_to_source(low.numpy(), hw, side, "longest_side")
    np.testing.assert_allclose(got, want.numpy(), atol=1e-3)
    corner = to_model_points(np.array([[hw[1], hw[0]]], np.float32), hw, side, "longest_side")
    np.testing.assert_allclose(corner, [[columns, rows]], rtol=1e-6)
