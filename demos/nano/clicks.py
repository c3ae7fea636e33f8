"""Prompts as a user would give them, drawn from true masks. Points are [x, y] in pixels of the mask."""

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Point = tuple[float, float]
POSITIVE, NEGATIVE = 1, 0
CORNERS = (2, 3)
"""Labels of a box's first and second corner (SAM's prompt encoder)."""


def _depth(region: Mask) -> NDArray[np.float32]:
    """Distance in pixels to the edge of a region; the picture's border counts as an edge."""
    padded = np.pad(region.astype(np.uint8), 1)
    return cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1].astype(np.float32, copy=False)


def centre_click(region: Mask) -> Point:
    """The pixel of a region farthest from its edge: where evaluation clicks."""
    row, column = np.unravel_index(int(_depth(region).argmax()), region.shape)
    return float(column), float(row)


def random_click(region: Mask, rng: np.random.Generator) -> Point:
    """A pixel of a region: anywhere, well inside, or in its middle. Raises ValueError if it is empty."""
    if not region.any():
        raise ValueError("cannot click into an empty region")
    if rng.random() < 0.5:
        depth = _depth(region)
        region = depth >= depth.max() * (0.99 if rng.random() < 0.4 else 0.4)
    rows, columns = np.nonzero(region)
    pick = int(rng.integers(len(rows)))
    return float(columns[pick]), float(rows[pick])


def box(region: Mask) -> tuple[Point, Point]:
    """The tight box: centres of its first and last pixel."""
    rows, columns = np.nonzero(region)
    return (float(columns.min()), float(rows.min())), (float(columns.max()), float(rows.max()))


def loose_box(region: Mask, rng: np.random.Generator) -> tuple[Point, Point]:
    """A box as drawn by hand: each corner off by a few hundredths of the box's size."""
    corners = np.array(box(region))
    extent = corners[1] - corners[0] + 1
    height, width = region.shape
    moved = np.clip(corners + rng.normal(size=(2, 2)) * 0.03 * extent, 0, [width - 1, height - 1])
    return (float(moved[0, 0]), float(moved[0, 1])), (float(moved[1, 0]), float(moved[1, 1]))


def correction(predicted: Mask, truth: Mask, rng: np.random.Generator | None = None) -> tuple[Point, int]:
    """A click into the largest error and its label; into the object's own middle where nothing is wrong.

    Without a generator the click is the error's middle, as evaluation wants it.
    """
    wrong = (predicted ^ truth).astype(np.uint8)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(wrong, connectivity=4)
    if count > 1:
        region = parts == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    elif truth.any():
        region = truth
    else:
        region = np.ones_like(truth)
    point = centre_click(region) if rng is None else random_click(region, rng)
    return point, POSITIVE if truth[int(point[1]), int(point[0])] else NEGATIVE
