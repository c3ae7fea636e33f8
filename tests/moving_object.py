"""Frames and results of an object that moves, for tests of sinks."""

import numpy as np
import numpy.typing as npt
from masklet.runtime.pixels.geometry import boxes_xyxy
from masklet.runtime.results import Frame, FrameResult

BoolArray = npt.NDArray[np.bool_]


def result(index: int, masks: BoolArray, ids: list[int] | None = None) -> FrameResult:
    count = len(masks)
    scores = np.linspace(0.9, 0.5, count).astype(np.float32)
    return FrameResult(
        index, index / 25, np.array(ids or range(1, count + 1), np.int64), masks, boxes_xyxy(masks), scores
    )


def moving(index: int, height: int = 96, width: int = 160) -> tuple[Frame, FrameResult]:
    """A grey frame, a box that moves, and an object that is out of sight."""
    masks = np.zeros((2, height, width), bool)
    masks[0, 20:60, 10 + index : 50 + index] = True
    return Frame(index, index / 25, np.full((height, width, 3), 128, np.uint8)), result(index, masks, [1, 7])
