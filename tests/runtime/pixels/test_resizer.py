"""Frames at the model's size agree with torch's antialiased bilinear interpolation to 1/255."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from masklet.runtime.errors import SourceError
from masklet.runtime.pixels.resizer import MAX_SIZES, Resizer, content_hw
from masklet.runtime.pixels.shrink import triangle_weights
from PIL import Image

U8 = npt.NDArray[np.uint8]

SIZES = [
    (540, 960),  # grows
    (720, 480),
    (33, 57),
    (1, 1),
    (1, 9),
    (1080, 1920),  # shrinks
    (1200, 1800),
    (1920, 1080),
    (1025, 1027),
    (720, 1280),  # one axis each way
    (2000, 40),
    (1, 1500),
    (1024, 1024),
    (1024, 2048),
    (4320, 64),  # by more than four
    (480, 640),
]


def reference(image: U8, side: int) -> npt.NDArray[np.float64]:
    pixels = torch.tensor(image).permute(2, 0, 1)[None].float()
    resized = torch.nn.functional.interpolate(pixels, size=(side, side), mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).double().numpy()


def noise(height: int, width: int) -> U8:
    """Black and white: what a filter does is plainest here."""
    bits = np.random.default_rng(height * width).integers(0, 2, (height, width, 3), dtype=np.uint8)
    return bits * np.uint8(255)


@pytest.mark.parametrize("hw", SIZES, ids=str)
def test_frames_are_resized_as_torch_does(hw: tuple[int, int]) -> None:
    image = noise(*hw)
    want = reference(image, 1024)
    got = Resizer(1024)(image)
    assert got.shape == (1024, 1024, 3)
    assert got.dtype == np.uint8
    assert np.abs(got - np.rint(want)).max() <= 1
    assert np.abs(got - want).max() < 1.3  # two roundings, and OpenCV's fixed point


@given(st.integers(1, 150), st.integers(1, 150), st.integers(2, 96))
@settings(deadline=None, max_examples=150)
def test_every_size_is_resized_as_torch_does(height: int, width: int, side: int) -> None:
    image = noise(height, width)
    assert np.abs(Resizer(side)(image) - np.rint(reference(image, side))).max() <= 1


@pytest.mark.parametrize("hw", [(1080, 1920), (720, 1280)])
def test_pillow_agrees_too(hw: tuple[int, int]) -> None:
    image = noise(*hw)
    pillow = np.asarray(Image.fromarray(image).resize((512, 512), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(Resizer(512)(image) - pillow).max() <= 1


def test_sizes_may_alternate_and_results_are_not_overwritten() -> None:
    resizer = Resizer(64)
    images = [noise(100 + n, 130 - n) for n in range(2 * MAX_SIZES)]
    first = [resizer(image) for image in images]
    again = [resizer(image) for image in reversed(images)]
    for image, one, other in zip(images, first, reversed(again), strict=True):
        np.testing.assert_array_equal(one, other)
        assert np.abs(one - np.rint(reference(image, 64))).max() <= 1


def test_frames_need_not_be_contiguous() -> None:
    image = noise(300, 400)
    window = image[10:250:2, 20:380]
    for side in (64, 200, 512):
        np.testing.assert_array_equal(Resizer(side)(window), Resizer(side)(window.copy()))


@given(st.integers(1, 60), st.integers(1, 60))
@settings(deadline=None)
def test_the_filter_keeps_brightness(n_in: int, n_out: int) -> None:
    weights = triangle_weights(max(n_in, n_out), min(n_in, n_out))
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    assert (weights >= 0).all()


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_what_is_no_frame_is_refused(image: U8) -> None:
    with pytest.raises(SourceError, match=r"a frame must be uint8\[H, W, 3\], got"):
        Resizer(8)(image)


@pytest.mark.parametrize("hw", [(1200, 1800), (1800, 1200), (30, 57), (1, 20_000), (64, 64)], ids=str)
def test_the_longest_side_is_fitted_as_sam_does(hw: tuple[int, int]) -> None:
    """segment_anything's ResizeLongestSide: one scale for both axes, rounded half up; the rest of the square is 0."""
    side = 64
    image = np.maximum(noise(*hw), 1)
    scale = side / max(hw)
    rows, columns = (max(1, int(length * scale + 0.5)) for length in hw)
    pixels = torch.tensor(image).permute(2, 0, 1)[None].float()
    want = torch.nn.functional.interpolate(pixels, size=(rows, columns), mode="bilinear", antialias=True)
    got = Resizer(side, "longest_side")(image)
    assert content_hw(hw, side, "longest_side") == (rows, columns)
    assert np.abs(got[:rows, :columns] - want[0].permute(1, 2, 0).round().numpy()).max() <= 1
    assert not got[rows:].any()
    assert not got[:, columns:].any()
