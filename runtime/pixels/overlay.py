"""Draws tracked objects into a frame: tinted masks, contours, and labels with id and score."""

import colorsys
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from masklet.runtime.results import FrameResult

U8 = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

TINT = 0.45  # share of the object's colour in its mask
_GOLDEN_RATIO = 0.618034  # steps of this size spread any number of hues evenly
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@lru_cache(maxsize=1024)
def colour(object_id: int) -> Colour:
    """The object's RGB colour, the same in every run."""
    red, green, blue = colorsys.hsv_to_rgb(object_id * _GOLDEN_RATIO % 1.0, 0.8, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def css_colour(object_id: int) -> str:
    """The same as a web page has it."""
    return "#{:02x}{:02x}{:02x}".format(*colour(object_id))


@lru_cache(maxsize=64)
def _tint(object_id: int) -> U8:
    """The tinted value of each channel value: [1, 256, 3] uint8, a table for cv2.LUT."""
    values = np.arange(256, dtype=np.float32)[None, :, None]
    mixed = values * (1 - TINT) + np.array(colour(object_id), np.float32) * TINT
    return np.rint(mixed).astype(np.uint8)


def draw(image: U8, result: FrameResult) -> U8:
    """A copy of the frame with its visible objects drawn in.

    image: [H, W, 3] uint8 RGB, the frame of the result. Only pixels inside the boxes of the objects are processed.
    """
    canvas = image.copy()
    seen = [n for n in range(len(result)) if result.boxes_xyxy[n, 2] > 0]
    boxes = {n: tuple(result.boxes_xyxy[n].astype(int).tolist()) for n in seen}
    for n in seen:
        x0, y0, x1, y1 = boxes[n]
        object_id = int(result.object_ids[n])
        region = canvas[y0:y1, x0:x1]
        mask = np.ascontiguousarray(result.masks[n, y0:y1, x0:x1]).view(np.uint8)
        cv2.copyTo(cv2.LUT(region, _tint(object_id)), mask, region)
        contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        thickness = max(1, round(min(canvas.shape[:2]) / 400))
        cv2.drawContours(canvas, contours, -1, colour(object_id), thickness, offset=(x0, y0))
    for n in seen:  # labels last, so that no mask covers them
        phrase = result.findings[n].phrase if result.findings else None
        _label(canvas, boxes[n][:2], int(result.object_ids[n]), phrase or "", float(result.scores[n]))
    return canvas


def _label(canvas: U8, corner: tuple[int, ...], object_id: int, phrase: str, score: float) -> None:
    """Write id, phrase and score above the corner of the box, moved into the frame if necessary."""
    height, width = canvas.shape[:2]
    scale = max(0.4, min(height, width) / 900)
    thickness = max(1, round(scale * 1.6))
    text = f"{object_id} {phrase} {score:.2f}"
    (text_width, text_height), below = cv2.getTextSize(text, _FONT, scale, thickness)
    pad = max(2, text_height // 3)
    box_width, box_height = text_width + 2 * pad, text_height + below + pad
    if box_width > width or box_height > height:
        return
    x = min(max(corner[0], 0), width - box_width)
    y = max(corner[1] - box_height, 0)
    fill = colour(object_id)
    cv2.rectangle(canvas, (x, y), (x + box_width - 1, y + box_height - 1), fill, cv2.FILLED)
    bright = 0.299 * fill[0] + 0.587 * fill[1] + 0.114 * fill[2] > 140
    ink = (0, 0, 0) if bright else (255, 255, 255)
    cv2.putText(canvas, text, (x + pad, y + pad // 2 + text_height), _FONT, scale, ink, thickness, cv2.LINE_AA)
