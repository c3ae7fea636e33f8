"""Clutter: copies of the object beside it, noise, and compression. The copies are no part of the truth."""

from collections.abc import Iterator
from math import cos, pi, sin

import numpy as np
from masklet.calibration.diagnosis.transformations.cut_out import CutOut
from masklet.calibration.diagnosis.transformations.jpeg import decoded, jpeg
from masklet.calibration.diagnosis.transformations.ramp import ramp
from masklet.calibration.diagnosis.transformations.true_clip import U8, BoolArray, Shot, TrueClip

COPIES = (1, 2, 3)  # of each object, by level
NOISE = (4.0, 10.0, 22.0)  # standard deviation, of values up to 255
QUALITY = (60, 30, 12)  # of JPEG
APART = (1.3, 2.2)  # how far a copy is from its object, in the object's longer side


def clutter(clip: TrueClip, level: int, rng: np.random.Generator) -> Iterator[Shot]:
    """The clip with look-alikes, noise and blocks."""
    places = {i: _places(COPIES[level - 1], rng) for i in clip.objects}
    for number, shot in enumerate(clip.shots()):
        if number == 0:
            yield shot
            continue
        image = np.array(shot.image)
        true = np.any(list(shot.masks.values()), axis=0) if shot.masks else np.zeros(clip.hw, np.bool_)
        for object_id, mask in shot.masks.items():
            _paste_copies(image, shot.image, mask, places[object_id], true, number)
        grainy = noisy(image, NOISE[level - 1] * ramp(number), rng)
        yield Shot(decoded(jpeg(grainy, QUALITY[level - 1])), shot.masks)


def noisy(image: U8, deviation: float, rng: np.random.Generator) -> U8:
    """An image with normal noise."""
    noise = rng.standard_normal(image.shape, np.float32) * np.float32(deviation)
    return np.clip(image + noise + 0.5, 0, 255).astype(np.uint8)


def _places(copies: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Where copies stand from their object: directions apart from each other, in the object's longer side."""
    first = rng.uniform(0, 2 * pi)
    around = [(first + 2 * pi * copy / copies, rng.uniform(*APART)) for copy in range(copies)]
    return [(radius * cos(angle), radius * sin(angle)) for angle, radius in around]


def _paste_copies(
    image: U8, clean: U8, mask: BoolArray, places: list[tuple[float, float]], true: BoolArray, number: int
) -> None:
    """Paste an object's copies behind every true object; in the first frames they slide in from outside."""
    piece = CutOut.of(clean, mask)
    if piece is None:
        return
    longer = max(piece.mask.shape)
    far = (1 - ramp(number)) * max(clean.shape[:2])
    for x, y in places:
        away = 1 + far / (longer * float(np.hypot(x, y)))
        piece.paste(image, piece.top + round(y * longer * away), piece.left + round(x * longer * away), behind=true)
