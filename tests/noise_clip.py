"""A clip of smooth noise that moves: random weights find instances in it."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

HW = (60, 80)


def write_noise(folder: Path, frames: int) -> Path:
    """Write a folder of pictures of HW and return it."""
    picture = cv2.resize(np.random.default_rng(3).integers(0, 256, (6, 8, 3), np.uint8), (HW[1], HW[0]))
    for t in range(frames):
        Image.fromarray(np.roll(picture, 2 * t, axis=1)).save(folder / f"{t}.png")
    return folder
