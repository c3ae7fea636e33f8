"""COCO RLE, against pycocotools; and what pycocotools does not survive."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from masklet.runtime.errors import MaskletError
from masklet.runtime.pixels.coco_rle import CocoRle
from pycocotools import mask as coco


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_masks_are_those_of_pycocotools(height: int, width: int, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    rle = CocoRle.of(mask)
    reference = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert rle == CocoRle((height, width), reference["counts"].decode())
    assert np.array_equal(rle.mask(), mask)


@given(st.text(max_size=30), st.integers(-3, 60), st.integers(-3, 60))
def test_any_text_is_a_mask_or_an_error(counts: str, height: int, width: int) -> None:
    try:
        found = CocoRle((height, width), counts).mask()
    except MaskletError:
        return
    assert found.shape == (height, width)


@pytest.mark.parametrize("size", [(1 << 20, 1 << 20), (0, 5), (-2, -2)])
def test_a_size_of_no_mask_is_refused_before_anything_is_allocated(size: tuple[int, int]) -> None:
    with pytest.raises(MaskletError, match="no size of a mask"):
        CocoRle(size, "0").mask()
