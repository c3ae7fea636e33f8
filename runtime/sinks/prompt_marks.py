"""Draws prompts into a frame: clicks as crosses and bars, boxes as frames, masks as outlines."""

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt
from masklet.runtime.pixels.overlay import colour
from masklet.runtime.prompts.prompts import Box, Mask, Points, Prompt

U8 = npt.NDArray[np.uint8]
WHITE, POSITIVE = (255, 255, 255), 1


def draw_prompts(canvas: U8, prompts: Mapping[int, Prompt]) -> None:
    """Draw the prompts of a frame, in place. canvas: [H, W, 3] uint8 RGB; prompts: by object id, in its pixels."""
    size = max(3, round(min(canvas.shape[:2]) / 60))
    for object_id, prompt in prompts.items():
        fill = colour(object_id)
        if isinstance(prompt, Mask):
            outlines, _ = cv2.findContours(prompt.mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(canvas, outlines, -1, WHITE, 1)
            continue
        points = prompt.points if isinstance(prompt, Box) else prompt
        if isinstance(prompt, Box):
            first, last = (round(prompt.x0), round(prompt.y0)), (round(prompt.x1) - 1, round(prompt.y1) - 1)
            cv2.rectangle(canvas, first, last, WHITE, max(1, size // 3))
            cv2.rectangle(canvas, first, last, fill, 1)
        if points is not None:
            _clicks(canvas, points, fill, size)


def _clicks(canvas: U8, points: Points, fill: tuple[int, int, int], size: int) -> None:
    """A disc for each click, with a plus in positive and a minus in negative ones."""
    for (x, y), label in zip(points.xy.tolist(), points.labels.tolist(), strict=True):
        at = int(x), int(y)
        cv2.circle(canvas, at, size, WHITE, cv2.FILLED, cv2.LINE_AA)
        cv2.circle(canvas, at, size, fill, max(1, size // 3), cv2.LINE_AA)
        arm = max(1, size // 2)
        cv2.line(canvas, (at[0] - arm, at[1]), (at[0] + arm, at[1]), (0, 0, 0), 1)
        if label == POSITIVE:
            cv2.line(canvas, (at[0], at[1] - arm), (at[0], at[1] + arm), (0, 0, 0), 1)
