"""Compositing: things over a background into a picture and its labels, then light, blur and noise."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from motion import Camera, Path, Pose
from numpy.typing import NDArray
from paint import PATCH, PATCH_REACH
from shapes import Floats, Outline, waved

Bytes = NDArray[np.uint8]
Singles = NDArray[np.float32]
_SUBPIXEL_BITS = 4


@dataclass(frozen=True, slots=True)
class Thing:
    """An object (label 1..) or something that merely stands in front (label 0)."""

    shape: Outline
    texture: Bytes
    path: Path
    label: int
    wave: float = 0.0

    def loops(self, pose: Pose, frame: int) -> tuple[Floats, ...]:
        """Its outline in image pixels [N, 2]."""
        shape = waved(self.shape, 0.35 * frame, self.wave) if self.wave else self.shape
        stretch = np.array([self.path.squeeze, 1 / self.path.squeeze]) * pose.radius
        turn = np.array([[math.cos(pose.angle), math.sin(pose.angle)], [-math.sin(pose.angle), math.cos(pose.angle)]])
        return tuple((loop * stretch) @ turn + pose.centre for loop in shape)


@dataclass(frozen=True, slots=True)
class Stage:
    """A background wider than the picture by `margin` on each side, things back to front, and a camera."""

    background: Bytes
    things: tuple[Thing, ...]
    view: Camera
    size: int
    margin: int

    def draw(self, frame: int) -> tuple[Bytes, Bytes]:
        """One frame: picture [size, size, 3] RGB and labels [size, size]."""
        shift = self.view.shift(frame)
        place = np.array([[1, 0, shift[0] - self.margin], [0, 1, shift[1] - self.margin]])
        picture = cv2.warpAffine(self.background, place, (self.size, self.size)).astype(np.uint8, copy=False)
        labels = np.zeros((self.size, self.size), np.uint8)
        self._compose(frame, labels, picture)
        return picture, labels

    def labels(self, frame: int) -> Bytes:
        """The labels of a frame without its picture."""
        labels = np.zeros((self.size, self.size), np.uint8)
        self._compose(frame, labels, None)
        return labels

    def _compose(self, frame: int, labels: Bytes, picture: Bytes | None) -> None:
        shift = self.view.shift(frame)
        for thing in self.things:
            if not thing.path.visible(frame):
                continue
            pose = thing.path.pose(frame)
            pose = Pose(pose.centre + shift, pose.angle, pose.radius)
            loops = thing.loops(pose, frame)
            points = np.concatenate(loops)
            left, top = np.maximum(0, np.floor(points.min(axis=0)).astype(int) - 1)
            right, bottom = np.minimum(self.size, np.ceil(points.max(axis=0)).astype(int) + 2)
            if right <= left or bottom <= top:
                continue
            cover = np.zeros((bottom - top, right - left), np.uint8)
            corner = np.array([left, top])
            fixed = [np.round((loop - corner) * 2**_SUBPIXEL_BITS).astype(np.int32) for loop in loops]
            cv2.fillPoly(cover, fixed, 255, cv2.LINE_AA, _SUBPIXEL_BITS)
            labels[top:bottom, left:right][cover > 127] = thing.label
            if picture is not None:
                _paint(picture[top:bottom, left:right], thing, pose, corner, cover)


def _paint(spot: Bytes, thing: Thing, pose: Pose, corner: NDArray[np.int64], cover: Bytes) -> None:
    """Blend a thing's texture into a part of the picture, in place. cover: opacity 0..255."""
    texel = PATCH / (2 * PATCH_REACH) / pose.radius
    cos, sin = math.cos(pose.angle) * texel, math.sin(pose.angle) * texel
    offset = corner - pose.centre
    middle = (PATCH - 1) / 2
    to_texels = np.array(
        [
            [cos, sin, middle + cos * offset[0] + sin * offset[1]],
            [-sin, cos, middle - sin * offset[0] + cos * offset[1]],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    skin = cv2.warpAffine(
        thing.texture, to_texels, (spot.shape[1], spot.shape[0]), flags=flags, borderMode=cv2.BORDER_REFLECT
    )
    weight = cover.astype(np.float32) * np.float32(1 / 255)
    spot[:] = cv2.blendLinear(skin, np.ascontiguousarray(spot), weight, 1 - weight)


@dataclass(frozen=True, slots=True)
class Finish:
    """Light, blur and sensor noise over a whole clip. Noise in grey levels, blur as a sigma in pixels."""

    gain: float
    flicker: float
    flicker_rate: float
    slope: Singles | None
    blur: float
    noise: Singles | None  # [T, H, W], over and over

    def apply(self, picture: Bytes, frame: int) -> Bytes:
        """One finished picture, [H, W, 3] uint8."""
        if self.blur:
            picture = cv2.GaussianBlur(picture, (3, 3), self.blur).astype(np.uint8, copy=False)
        gain = self.gain * (1 + self.flicker * math.sin(self.flicker_rate * frame))
        light = picture.astype(np.float32) * np.float32(gain)
        if self.slope is not None:
            light *= 1 + self.slope * np.float32(math.sin(0.5 * self.flicker_rate * frame))
        if self.noise is not None:
            light += self.noise[frame % len(self.noise)][..., None]
        finished: Bytes = np.clip(light, 0, 255).astype(np.uint8)
        return finished


def finish(rng: np.random.Generator, size: int, frames: int, rich: bool) -> Finish:
    """Draw the light, blur and noise of a clip; rich scenes add a slope of light that comes and goes."""
    level = rng.uniform(0, 7)
    noise = None
    if level > 1:
        noise = rng.standard_normal((frames, size, size), dtype=np.float32) * np.float32(level)
    slope = None
    if rich and rng.random() < 0.5:
        across = np.linspace(-1, 1, size, dtype=np.float32) * np.float32(rng.uniform(0.1, 0.4))
        slope = np.broadcast_to(across[None, :, None], (size, size, 1))
    return Finish(
        gain=rng.uniform(0.75, 1.15),
        flicker=rng.uniform(0, 0.15),
        flicker_rate=rng.uniform(0.05, 0.5),
        slope=slope,
        blur=rng.uniform(0.3, 0.9) if rng.random() < 0.4 else 0.0,
        noise=noise,
    )
