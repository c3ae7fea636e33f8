"""Masks of polygons, as COCO draws them."""

from collections.abc import Sequence

import numpy as np
from masklet.runtime.errors import MasksError
from masklet.runtime.pixels.geometry import BoolArray


def mask_of_polygons(polygons: Sequence[Sequence[float]], hw: tuple[int, int]) -> BoolArray:
    """The pixels [H, W] within any of the polygons, each of which is x, y, x, y, ... in pixels. Raises MasksError."""
    from pycocotools import mask as coco

    if not polygons or any(len(one) < 6 or len(one) % 2 for one in polygons):
        raise MasksError("a polygon has three or more points")
    runs = coco.frPyObjects([[float(value) for value in one] for one in polygons], *hw)
    return np.asarray(coco.decode(coco.merge(runs)), np.bool_)
