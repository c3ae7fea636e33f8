"""Packed masks, cleaning, overlap rules and what waits for its result, against plain formulas on whole arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.concepts.delayed_results import Shown
from masklet.runtime.concepts.overlaps import NEVER, apart, kept_share, recently_occluded
from masklet.runtime.pixels.geometry import boxes_xyxy, masks_to_source
from masklet.runtime.pixels.mask_cleaning import clean
from masklet.runtime.pixels.packed_masks import PackedMasks, suppress
from skimage.measure import label

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 140))


def blobs(seed: int, count: int, hw: tuple[int, int], density: float = 0.3) -> Tensor:
    """Logits with empty, full, blocky and ragged masks among them."""
    rng = np.random.default_rng(seed)
    height, width = hw
    coarse = rng.standard_normal((count, -(-height // 4), -(-width // 4))) + rng.uniform(-2, 1, (count, 1, 1))
    logits = coarse.repeat(4, 1).repeat(4, 2)[:, :height, :width]
    logits = np.where(rng.uniform(size=logits.shape) < density / 10, -logits, logits)
    if count > 2:
        logits[0], logits[1] = -1, 1
    return logits.astype(np.float32)


@given(st.integers(0, 999), st.integers(0, 5), st.integers(0, 5), SIZES)
@settings(max_examples=60, deadline=None)
def test_overlap_areas_and_boxes_are_those_of_whole_masks(seed: int, n: int, m: int, hw: tuple[int, int]) -> None:
    a, b = blobs(seed, n, hw), blobs(seed + 1, m, hw)
    packed, others = PackedMasks.of(a), PackedMasks.of(b)
    assert packed.areas.tolist() == (a > 0).sum(axis=(1, 2)).tolist()
    assert packed.nonempty.tolist() == (a > 0).any(axis=(1, 2)).tolist()
    np.testing.assert_array_equal(packed.boxes, boxes_xyxy(a > 0))
    wanted = np.zeros((n, m), np.float32)
    for i, j in np.ndindex(n, m):
        shared, union = ((a[i] > 0) & (b[j] > 0)).sum(), ((a[i] > 0) | (b[j] > 0)).sum()
        wanted[i, j] = np.float32(shared) / np.float32(max(union, 1))
    np.testing.assert_array_equal(packed.iou(others), wanted)
    np.testing.assert_array_equal(packed[[0]].iou(others) if n else wanted, wanted[:1])


@given(st.integers(0, 999), st.integers(0, 12), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_suppression_keeps_what_no_better_kept_one_overlaps(seed: int, count: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    ious = rng.uniform(size=(count, count)).astype(np.float32)
    ious = np.maximum(ious, ious.T)
    scores = (rng.integers(0, 5, count) / 5).astype(np.float32)  # equal scores, too
    kept: set[int] = set()
    for one in sorted(range(count), key=lambda n: (-scores[n], n)):
        if not any(ious[one, other] > np.float32(threshold) for other in kept):
            kept.add(one)
    assert suppress(ious, scores, threshold).tolist() == sorted(kept)


def cleaned(logits: Tensor, most: int) -> Tensor:
    """fill_holes_in_mask_scores of sam3_tracker_utils.py, by scikit-image."""
    out = logits.copy()
    for scores in out:
        for foreground, limit, value in ((False, most, 0.1), (True, None, -0.1)):
            mask = scores > 0 if foreground else scores <= 0
            labels = label(mask, connectivity=2)
            areas = np.bincount(labels.ravel())
            cap = min(most, int(mask.sum()) // 2) if limit is None else limit
            scores[mask & (areas[labels] <= cap)] = value
    return out


@given(st.integers(0, 999), SIZES, st.integers(0, 20))
@settings(max_examples=80, deadline=None)
def test_cleaning_is_that_of_every_component(seed: int, hw: tuple[int, int], most: int) -> None:
    logits = blobs(seed, 4, hw, density=1.0)
    wanted = cleaned(logits, most) if most else logits.copy()
    np.testing.assert_array_equal(clean(logits, most), wanted)


@given(st.integers(0, 999), st.integers(1, 6), SIZES)
@settings(max_examples=60, deadline=None)
def test_the_share_that_is_kept_is_that_of_the_highest_logits(seed: int, count: int, hw: tuple[int, int]) -> None:
    logits: Tensor = np.round(blobs(seed, count, hw), 1).astype(np.float32)  # ties
    packed = PackedMasks.of(logits)
    wins = (logits.argmax(axis=0) == np.arange(count)[:, None, None]) & (logits > 0)
    wanted = wins.sum(axis=(1, 2)) / np.maximum((logits > 0).sum(axis=(1, 2)), 1)
    np.testing.assert_allclose(kept_share(list(logits), packed.boxes, packed.areas), wanted, rtol=1e-6)


@given(st.integers(0, 999), st.integers(1, 6), SIZES)
@settings(max_examples=60, deadline=None)
def test_pixels_go_to_the_most_visible(seed: int, count: int, hw: tuple[int, int]) -> None:
    masks = blobs(seed, count, hw) > 0
    visible = (np.random.default_rng(seed).integers(0, 3, count) / 2).astype(np.float32)
    scores = np.where(masks, visible[:, None, None] + 1, 0)
    wanted = masks & (scores.argmax(axis=0) == np.arange(count)[:, None, None])
    boxes = boxes_xyxy(masks).astype(np.int64)
    apart(list(masks), list(boxes), visible)
    np.testing.assert_array_equal(masks, wanted)
    np.testing.assert_array_equal(boxes, boxes_xyxy(masks))


@pytest.mark.parametrize(
    ("last", "blanked"),
    [((NEVER, NEVER), (False, False)), ((3, NEVER), (False, False)), ((3, 5), (False, True)), ((5, 5), (False, False))],
)
def test_who_was_hidden_last_gives_way(last: tuple[int, int], blanked: tuple[bool, bool]) -> None:
    ious = np.array([[1, 0.7], [0.7, 1]], np.float32)
    assert tuple(recently_occluded(ious, np.array(last), 0.7).tolist()) == blanked
    assert not recently_occluded(ious, np.array(last), 0.71).any()


@given(st.integers(0, 999), st.tuples(st.integers(1, 60), st.integers(1, 60)))
@settings(max_examples=60, deadline=None)
def test_what_waits_is_cut_out_without_a_trace(seed: int, hw: tuple[int, int]) -> None:
    for logits in blobs(seed, 4, (18, 24)):
        shown, mask = Shown.of(logits, 1.0, 1.0, 0, None), np.zeros(hw, np.bool_)
        assert shown.draw(mask) == tuple(boxes_xyxy(mask[None])[0].tolist())
        np.testing.assert_array_equal(mask, masks_to_source(logits[None], hw)[0])
        assert shown.part.size <= logits.size
