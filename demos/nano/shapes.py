"""Outlines of the things in a scene: closed polygons around the origin, none farther from it than 1."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Outline = tuple[Floats, ...]
"""One or more closed polygons [N, 2], x right and y down; a second one cuts a hole (even-odd rule)."""

_GLYPHS = "ABCDEFGHKMPRSTXZ2358&"


def _ellipse(rng: np.random.Generator) -> Outline:
    turn = np.linspace(0.0, 2 * np.pi, 40, endpoint=False)
    return (np.stack([np.cos(turn), np.sin(turn) * rng.uniform(0.45, 1.0)], axis=1),)


def _rectangle(rng: np.random.Generator) -> Outline:
    half = rng.uniform(0.45, 1.0)
    return (np.array([[-1, -half], [1, -half], [1, half], [-1, half]]) / np.hypot(1, half),)


def _star(rng: np.random.Generator) -> Outline:
    """A polygon with 3 to 8 corners; two times in five with every second corner pulled in."""
    corners = int(rng.integers(3, 9))
    turn = np.linspace(0.0, 2 * np.pi, corners, endpoint=False) + rng.uniform(-0.2, 0.2, corners)
    if rng.random() < 0.6:
        reach = rng.uniform(0.75, 1.0, corners)
    else:
        reach = np.where(np.arange(corners) % 2, rng.uniform(0.45, 0.7), 1.0)
    return (np.stack([np.cos(turn) * reach, np.sin(turn) * reach], axis=1),)


def _blob(rng: np.random.Generator) -> Outline:
    turn = np.linspace(0.0, 2 * np.pi, 48, endpoint=False)
    reach = np.ones(48)
    for wave in range(2, int(rng.integers(4, 7))):
        reach += rng.normal() * 0.22 / np.sqrt(wave) * np.cos(wave * turn + rng.uniform(0, 2 * np.pi))
    reach = np.clip(reach, 0.35, None)
    reach /= reach.max()
    return (np.stack([np.cos(turn) * reach, np.sin(turn) * reach], axis=1),)


def _traced(drawing: NDArray[np.uint8]) -> Outline:
    """The contours of a drawing, holes included, moved and scaled into the unit disc."""
    found, _ = cv2.findContours(drawing, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1)
    loops = [loop[:, 0].astype(np.float64) for loop in found if len(loop) >= 3]
    points = np.concatenate(loops)
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    reach = float(np.linalg.norm(points - centre, axis=1).max())
    return tuple((loop - centre) / reach for loop in loops)


def _stroke(rng: np.random.Generator) -> Outline:
    """A thick bent line, as a pen would draw it."""
    drawing = np.zeros((128, 128), np.uint8)
    steps = np.cumsum(rng.normal(0.0, 0.55, 6))
    path = np.cumsum(np.stack([np.cos(steps), np.sin(steps)], axis=1) * 18.0, axis=0)
    path += 64.0 - path.mean(axis=0)
    cv2.polylines(drawing, [np.round(path).astype(np.int32)], False, 255, int(rng.integers(12, 22)))
    return _traced(drawing)


def _letter(rng: np.random.Generator) -> Outline:
    drawing = np.zeros((128, 128), np.uint8)
    glyph = _GLYPHS[int(rng.integers(len(_GLYPHS)))]
    cv2.putText(drawing, glyph, (24, 100), cv2.FONT_HERSHEY_DUPLEX, 3.6, 255, int(rng.integers(14, 22)))
    return _traced(drawing)


_SIMPLE: tuple[Callable[[np.random.Generator], Outline], ...] = (_ellipse, _rectangle, _star, _blob)
_RICH = (*_SIMPLE, _stroke, _letter)


def outline(rng: np.random.Generator, rich: bool = False) -> Outline:
    """Draw one outline; `rich` adds pen strokes and letters to ellipses, rectangles, polygons and blobs."""
    choices, weights = (_RICH, (0.2, 0.15, 0.2, 0.2, 0.15, 0.1)) if rich else (_SIMPLE, (0.25, 0.2, 0.25, 0.3))
    return choices[int(rng.choice(len(choices), p=weights))](rng)


def waved(shape: Outline, phase: float, depth: float) -> Outline:
    """Bend an outline: every point moves to and fro along its radius, with a wave that runs around it.

    phase: radians; a whole turn brings the outline back. depth: largest relative change of a radius.
    """
    bent = []
    for loop in shape:
        turn = np.arctan2(loop[:, 1], loop[:, 0])
        bent.append(loop * (1.0 + depth * np.sin(2.0 * turn + phase))[:, None])
    return tuple(bent)
