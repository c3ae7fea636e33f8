"""Crops of an image, and the grid of points on each, for automatic masks (segment_anything amg.py)."""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from masklet.runtime.pixels.geometry import F32

EDGE_TOLERANCE = 20.0  # source pixels; a mask that ends this close to the edge of a crop was cut by it (amg.py 83)


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of an image, in source pixels; right and bottom exclusive. layer: 0 is the whole image."""

    x0: int
    y0: int
    x1: int
    y1: int
    layer: int

    @property
    def area(self) -> int:
        """Area in pixels."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)


def crops(image_hw: tuple[int, int], layers: int, overlap_ratio: float) -> list[Crop]:
    """The whole image, then 2 x 2, 4 x 4, ... overlapping crops of it (amg.py, generate_crop_boxes).

    overlap_ratio: overlap as a share of the image's shorter side, for the layer with 2 x 2 crops; smaller in deeper
                   layers.
    """
    height, width = image_hw
    found = [Crop(0, 0, width, height, 0)]
    for layer in range(1, layers + 1):
        count = 2**layer
        overlap = int(overlap_ratio * min(image_hw) * (2 / count))
        across, down = (math.ceil((overlap * (count - 1) + length) / count) for length in (width, height))
        for column, row in product(range(count), range(count)):
            x0, y0 = (across - overlap) * column, (down - overlap) * row
            found.append(Crop(x0, y0, min(x0 + across, width), min(y0 + down, height), layer))
    return found


def point_grid(side: int, crop: Crop) -> F32:
    """Evenly spaced points (amg.py, build_point_grid): [side * side, 2], x and y in the crop's own pixels."""
    steps = np.linspace(1 / (2 * side), 1 - 1 / (2 * side), side)
    unit = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    return (unit * [crop.x1 - crop.x0, crop.y1 - crop.y0]).astype(np.float32)


def cut_off(box: F32, crop: Crop, image_hw: tuple[int, int]) -> bool:
    """Whether a mask ends at an edge of its crop that is not an edge of the image (amg.py, is_box_near_crop_edge).

    box: [4], left, top, right, bottom in source pixels, right and bottom inclusive.
    """
    height, width = image_hw
    near_crop = np.abs(box - np.array([crop.x0, crop.y0, crop.x1, crop.y1])) <= EDGE_TOLERANCE
    near_image = np.abs(box - np.array([0, 0, width, height])) <= EDGE_TOLERANCE
    return bool((near_crop & ~near_image).any())
