"""Colours and textures: backgrounds, and the patch that an object carries along. All procedural, no photos."""

import colorsys
import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from shapes import outline

Bytes = NDArray[np.uint8]
Singles = NDArray[np.float32]

PATCH = 96
"""Edge of an object's texture patch in texels."""
PATCH_REACH = 1.35
"""Half the edge of a patch in radii of the object: outlines that wave stay on their patch."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a kind of scene looks like.

    vivid: probability that a background is saturated, textured strongly and strewn with clutter.
    two_tone: probability that an object has a second colour. look_alike: that object 2 copies object 1.
    occluders: most things that stand still in front of everything, and the chance of each.
    rich: octave-noise textures, strokes and letters, waving outlines, shake, changing light.
    """

    vivid: float
    two_tone: float
    look_alike: float
    occluders: tuple[int, float]
    rich: bool


LOOKS = {
    "plain": Look(vivid=0.0, two_tone=0.0, look_alike=0.0, occluders=(1, 0.3), rich=False),
    "cluttered": Look(vivid=0.6, two_tone=0.5, look_alike=0.35, occluders=(1, 0.3), rich=False),
    "rich": Look(vivid=0.6, two_tone=0.5, look_alike=0.25, occluders=(2, 0.4), rich=True),
}


def hsv(hue: float, saturation: float, value: float) -> Singles:
    """An RGB colour [3] in 0..255; hue in turns, the others in 0..1."""
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value), np.float32) * 255


def _noise(rng: np.random.Generator, grid: int, side: int) -> Singles:
    """Smooth noise [side, side] around 0 with `grid` knots along an edge."""
    knots = rng.standard_normal((grid, grid), dtype=np.float32)
    return cv2.resize(knots, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.float32, copy=False)


def _octaves(rng: np.random.Generator, side: int) -> Singles:
    """Noise of several octaves [side, side], scaled to 0..1."""
    grid, total = int(rng.integers(3, 7)), np.zeros((side, side), np.float32)
    fade = rng.uniform(0.45, 0.8)
    for octave in range(4):
        total += _noise(rng, min(grid * 2**octave, side), side) * fade**octave
    return _unit(total)


def _ramp(rng: np.random.Generator, side: int) -> Singles:
    angle = rng.uniform(0, 2 * math.pi)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    return _unit(x * np.float32(math.cos(angle)) + y * np.float32(math.sin(angle)))


def _unit(field: Singles) -> Singles:
    low, high = float(field.min()), float(field.max())
    return (field - np.float32(low)) * np.float32(1.0 / (high - low + 1e-6))


def background(rng: np.random.Generator, side: int, look: Look) -> Bytes:
    """Paint a background [side, side, 3] RGB: two colours mixed by noise or a ramp, grain, and clutter."""
    hue = rng.random()

    def colour() -> Singles:
        most = 0.9 if rng.random() < look.vivid else 0.28
        return hsv(hue + rng.normal() * 0.1, rng.uniform(0, most), rng.uniform(0.1, 0.95))

    if look.rich and rng.random() < 0.6:
        mix = _octaves(rng, side)
    elif rng.random() < 0.5:
        mix = _unit(_noise(rng, int(rng.integers(2, 6)), side))
    else:
        mix = _ramp(rng, side)
    first = colour()
    second = colour() if rng.random() < 0.8 else first
    picture = first + mix[..., None] * (second - first)
    if rng.random() < 0.6:
        grain = _noise(rng, min(int(rng.integers(12, 60)), side), side)
        picture += grain[..., None] * np.float32(rng.uniform(3, 25 if look.vivid else 14))
    painted = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < look.vivid:
        _strew(rng, painted, look)
    return painted


def _strew(rng: np.random.Generator, picture: Bytes, look: Look) -> None:
    """Draw 1 to 5 (rich: 8) flat shapes into a background, nearly opaque."""
    side = len(picture)
    for _ in range(int(rng.integers(1, 9 if look.rich else 6))):
        radius, centre = rng.uniform(0.06, 0.22) * side, rng.uniform(0, side, 2)
        loops = [np.round((loop * radius + centre) * 16).astype(np.int32) for loop in outline(rng, look.rich)]
        mask = np.zeros((side, side), np.uint8)
        cv2.fillPoly(mask, loops, 255, cv2.LINE_AA, 4)
        x, y, w, h = cv2.boundingRect(mask)
        if w == 0:
            continue
        colour = hsv(rng.random(), rng.uniform(0.1, 0.8), rng.uniform(0.2, 0.9)) * rng.uniform(0.7, 1.0)
        spot = picture[y : y + h, x : x + w].astype(np.float32)
        weight = mask[y : y + h, x : x + w, None].astype(np.float32) * np.float32(0.85 / 255)
        picture[y : y + h, x : x + w] = (spot + (colour - spot) * weight).astype(np.uint8)


def patch(rng: np.random.Generator, hue: float, dull: bool, look: Look) -> Bytes:
    """Paint the texture of an object: [PATCH, PATCH, 3] RGB that spans +-PATCH_REACH radii."""
    span = np.linspace(-PATCH_REACH, PATCH_REACH, PATCH, dtype=np.float32)
    x, y = span[None, :], span[:, None]
    rate, phase, style = np.float32(rng.uniform(2, 6)), np.float32(rng.uniform(0, 6.28)), int(rng.integers(0, 4))
    if look.rich and rng.random() < 0.5:
        wave, style = _octaves(rng, PATCH) * 2 - 1, 4
    elif style == 0:
        wave = np.zeros((PATCH, PATCH), np.float32)
    elif style == 1:
        wave = np.sin(x * rate + phase) + 0 * y
    elif style == 2:
        wave = np.sin(x * rate + phase) * np.sin(y * rate)
    else:
        wave = np.tanh(3 * np.sin(x * rate + phase) * np.cos(y * rate))
    colour = hsv(hue, rng.uniform(0, 0.3) if dull else rng.uniform(0.7, 1.0), rng.uniform(0.6, 1.0))
    second = hsv(hue + rng.uniform(0.2, 0.8), rng.uniform(0.3, 1.0), rng.uniform(0.4, 1.0))
    base: NDArray[np.floating[Any]] = np.broadcast_to(colour, (PATCH, PATCH, 3))
    if rng.random() < look.two_tone and style != 0:
        base = colour + (second - colour) * (0.5 + 0.5 * np.tanh(4 * wave))[..., None]
    slope = np.float32(rng.uniform(0, 0.125)) * (x * np.cos(phase) + y * np.sin(phase))
    shade = 1 - np.float32(rng.uniform(0.08, 0.4)) * (0.5 + 0.5 * wave) + slope
    painted: Bytes = np.clip(base * shade[..., None], 0, 255).astype(np.uint8)
    return painted
