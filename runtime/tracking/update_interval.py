"""Segments objects that move as expected on every n-th frame only; in between their last mask is moved.

The motion model is a Kalman filter of the object's box (box_motion.py). A frame on which no object is due runs no stage
at all; therefore all objects wait for the same frames.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import PolicyError, PromptError
from masklet.runtime.tracking.box_motion import BoxMotion, Corners
from masklet.runtime.tracking.mask_boxes import box_of
from masklet.runtime.tracking.memory_policy import MemoryPolicy

LEAST_IOU = 0.8  # minimum IoU of the found and the expected mask, for an object to wait
LEAST_MOVE = 0.25  # pixels of a low-resolution mask; a smaller motion is ignored


@dataclass(frozen=True, slots=True)
class LastSeen:
    """An object when it was last segmented.

    low_res: [1, h, w] logits.
    score:   probability that it is visible.
    motion:  motion of its box; None without a box.
    waits:   whether it was where it was expected.
    """

    time: int
    low_res: Tensor
    score: float
    motion: BoxMotion | None
    waits: bool

    def expected(self, time: int) -> BoxMotion | None:
        """The expected box at a later time."""
        motion = self.motion
        for _ in range(time - self.time if motion is not None else 0):
            motion = motion and motion.predicted()
        return motion

    def moved(self, time: int) -> Tensor:
        """The logits, moved and scaled with the box to a later time."""
        expected = self.expected(time)
        if self.motion is None or expected is None:
            return self.low_res
        (x0, y0, x1, y1), (left, top, right, bottom) = self.motion.corners, expected.corners
        if max(abs(a - b) for a, b in zip(self.motion.corners, expected.corners, strict=True)) < LEAST_MOVE:
            return self.low_res
        across, down = (right - left) / (x1 - x0), (bottom - top) / (y1 - y0)
        # Corners lie between pixels, warpAffine counts from the middle of the first one.
        shift = left - across * x0 + (across - 1) / 2, top - down * y0 + (down - 1) / 2
        matrix = np.array([[across, 0, shift[0]], [0, down, shift[1]]], np.float32)
        logits = self.low_res[0]
        outside = float(logits.min())
        size = logits.shape[1], logits.shape[0]
        return np.asarray(cv2.warpAffine(logits, matrix, size, borderValue=outside), np.float32)[None]


def check_update_interval(interval: int, policy: MemoryPolicy[Any, Any]) -> None:
    """Raise PolicyError for an interval above 1 under a policy that looks at every frame."""
    if interval > 1 and policy.chooses:
        raise PolicyError(
            f"update interval {interval}: memory policy {policy.name!r} looks at every frame; give another policy, or "
            "an interval of 1"
        )


class UpdateInterval:
    """Decides which objects are segmented on a frame, and remembers the others.

    interval: an object that is where it was expected is segmented only on frames whose number is a multiple of it; may
              change between two frames.
    Raises PromptError for an interval below 1.
    """

    def __init__(self, interval: int) -> None:
        if interval < 1:
            raise PromptError(f"update interval {interval}: give 1 or more")
        self.interval = interval
        self._seen: dict[int, LastSeen] = {}

    def waiting(self, object_ids: list[int], time: int) -> dict[int, LastSeen]:
        """The objects that need not be segmented at `time`."""
        if time % self.interval == 0:
            return {}
        return {i: self._seen[i] for i in object_ids if i in self._seen and self._seen[i].waits}

    def note(self, object_id: int, time: int, low_res: Tensor, score: float) -> None:
        """Record an object that was segmented, replacing a record of the same time."""
        if self.interval == 1:
            return
        corners, before = _corners(low_res), self._seen.get(object_id)
        expected = None if before is None or before.time >= time else before.expected(time)
        if corners is None:
            self._seen[object_id] = LastSeen(time, low_res, score, None, waits=False)
        elif before is None or expected is None:
            self._seen[object_id] = LastSeen(time, low_res, score, BoxMotion.start(corners), waits=False)
        else:
            waits = _iou(before.moved(time) > 0, low_res > 0) >= LEAST_IOU
            self._seen[object_id] = LastSeen(time, low_res, score, expected.updated(corners), waits)

    def drop(self, object_id: int) -> None:
        """Delete the record of an object: it is segmented on the next frame."""
        self._seen.pop(object_id, None)


def _iou(one: Tensor, other: Tensor) -> float:
    """IoU of two masks of one shape, the second of which is not empty."""
    return float((one & other).sum() / (one | other).sum())


def _corners(low_res: Tensor) -> Corners | None:
    """The box of a mask [1, h, w] of logits, in its pixels; None if it is empty."""
    box = box_of(np.ascontiguousarray(low_res[0] > 0))
    return None if box is None else (box.left, box.top, box.left + box.width, box.top + box.height)
