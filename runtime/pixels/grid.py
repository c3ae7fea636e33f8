"""Draws a grid with pixel coordinates over a picture, so that prompts can be read off it."""

import cv2
import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]

STEPS = (10, 20, 25, 50, 100, 200, 250, 500, 1000)  # pixels between two lines
WANTED_LINES = 12  # along the longer side
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LINE, _TEXT, _EDGE = (255, 255, 255), (255, 255, 255), (0, 0, 0)
_STRENGTH = 0.45  # of the lines


def grid_step(hw: tuple[int, int]) -> int:
    """Pixels between two lines for a picture of that height and width."""
    return min(STEPS, key=lambda step: abs(max(hw) / step - WANTED_LINES))


def draw_grid(image: U8) -> U8:
    """A copy of a picture with lines at round pixel coordinates, x along the top and y down the left side.

    image: [H, W, 3] uint8 RGB.
    """
    height, width = image.shape[:2]
    step, lines = grid_step((height, width)), image.copy()
    for x in range(step, width, step):
        cv2.line(lines, (x, 0), (x, height - 1), _LINE)
    for y in range(step, height, step):
        cv2.line(lines, (0, y), (width - 1, y), _LINE)
    canvas = np.asarray(cv2.addWeighted(lines, _STRENGTH, image, 1 - _STRENGTH, 0), np.uint8)
    scale = max(0.4, max(height, width) / 1800)
    for x in range(step, width, step):
        _write(canvas, str(x), (x + 2, round(24 * scale)), scale)
    for y in range(step, height, step):
        _write(canvas, str(y), (2, y - 3), scale)
    return canvas


def _write(canvas: U8, text: str, at: tuple[int, int], scale: float) -> None:
    for colour, thickness in ((_EDGE, 3), (_TEXT, 1)):
        cv2.putText(canvas, text, at, _FONT, scale, colour, thickness, cv2.LINE_AA)
