"""Frames and results refuse arrays that do not belong together."""

from typing import Any

import numpy as np
import pytest
from masklet.runtime.errors import MaskletError
from masklet.runtime.results import Frame, FrameResult

GOOD: dict[str, Any] = {
    "object_ids": np.array([1, 4], np.int64),
    "masks": np.zeros((2, 6, 8), bool),
    "boxes_xyxy": np.zeros((2, 4), np.float32),
    "scores": np.zeros(2, np.float32),
}


def test_a_result_has_as_many_rows_as_objects() -> None:
    assert len(FrameResult(0, 0.0, **GOOD)) == 2
    nothing = {name: array[:0] for name, array in GOOD.items()}
    assert len(FrameResult(0, 0.0, **nothing)) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"masks": np.zeros((3, 6, 8), bool)}, r"result of frame 7: masks .* bool\[2, 6, 8\], got bool\[3, 6, 8\]"),
        ({"masks": np.zeros((2, 6), bool)}, "masks"),
        ({"masks": np.zeros((2, 6, 8), np.uint8)}, "masks .* got uint8"),
        ({"boxes_xyxy": np.zeros((2, 3), np.float32)}, "boxes_xyxy"),
        ({"boxes_xyxy": np.zeros((2, 4))}, "got float64"),
        ({"scores": np.zeros((2, 1), np.float32)}, "scores"),
        ({"object_ids": np.array([4, 4])}, r"object ids repeat in \[4, 4\]"),
        ({"object_ids": np.array([1, 2], np.int32)}, "object_ids"),
    ],
)
def test_arrays_that_do_not_align_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskletError, match=message):
        FrameResult(7, 0.0, **{**GOOD, **change})


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_an_image_is_rgb_bytes(image: Any) -> None:
    with pytest.raises(MaskletError, match=r"frame 3: expected uint8\[H, W, 3\]"):
        Frame(3, 0.0, image)


def test_a_frame_knows_its_size() -> None:
    assert Frame(0, 0.0, np.zeros((4, 6, 3), np.uint8)).hw == (4, 6)
