"""How things and the camera move: closed-form paths, so that any frame can be drawn on its own."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a thing is in one frame: centre in image pixels, angle in radians, radius in pixels."""

    centre: Floats
    angle: float
    radius: float


@dataclass(frozen=True, slots=True)
class Excursion:
    """A way out of the picture and back: from frame `start` on, for `length` frames."""

    reach: Floats
    start: float
    length: float

    def offset(self, frame: float) -> Floats:
        """Displacement in pixels at a frame; zero before and after the excursion."""
        progress = (frame - self.start) / self.length
        if not 0.0 < progress < 1.0:
            return np.zeros(2)
        return self.reach * float(math.sin(math.pi * progress) ** 0.8)


@dataclass(frozen=True, slots=True)
class Path:
    """Steady drift, sway, spin and growth of one thing. Pixels, radians and frames."""

    start: Floats
    velocity: Floats
    sway: Floats
    sway_rate: Floats
    angle: float
    spin: float
    radius: float
    growth: float
    squeeze: float
    excursion: Excursion | None = None
    absences: tuple[tuple[int, int], ...] = ()

    def visible(self, frame: int) -> bool:
        """False while the thing has vanished altogether (half-open intervals of frames)."""
        return not any(first <= frame < end for first, end in self.absences)

    def pose(self, frame: float) -> Pose:
        """Pose in one frame, before the camera's own motion."""
        centre = self.start + self.velocity * frame + self.sway * np.sin(self.sway_rate * frame)
        if self.excursion is not None:
            centre = centre + self.excursion.offset(frame)
        size = math.exp(min(max(self.growth * frame, -0.35), 0.35))
        return Pose(centre, self.angle + self.spin * frame, self.radius * size)


def moving(rng: np.random.Generator, size: int, frames: int, pace: float, leaves: float) -> Path:
    """Draw the path of an object.

    size: edge of the picture in pixels. frames: length of the clip.
    pace: usual speed in pixels a frame of a 128-pixel picture.
    leaves: probability of an excursion out of the picture; half of it again for vanishing on the spot.
    """
    scale = size / 128
    velocity = rng.normal(size=2) * pace * scale
    excursion: Excursion | None = None
    absences: tuple[tuple[int, int], ...] = ()
    fate = rng.random()
    if fate < leaves:
        heading = rng.uniform(0, 2 * math.pi)
        reach = np.array([math.cos(heading), math.sin(heading)]) * size * rng.uniform(1.0, 1.5)
        excursion = Excursion(reach, rng.uniform(0.05, 0.6) * frames, rng.uniform(0.35, 1.3) * min(frames, 14))
        velocity *= 0.3
    elif fate < 1.5 * leaves:
        first = int(rng.integers(1, max(2, frames - 1)))
        absences = ((first, first + int(rng.integers(1, max(2, min(frames, 10))))),)
    return Path(
        start=rng.uniform(0.15, 0.85, 2) * size,
        velocity=velocity,
        sway=rng.uniform(0.0, 5.0, 2) * scale,
        sway_rate=rng.uniform(0.1, 0.5, 2),
        angle=rng.uniform(0, 2 * math.pi),
        spin=rng.normal() * 0.03 * pace,
        radius=rng.uniform(0.13, 0.30) * size,
        growth=rng.normal() * 0.012,
        squeeze=rng.uniform(0.8, 1.25),
        excursion=excursion,
        absences=absences,
    )


def standing(rng: np.random.Generator, size: int) -> Path:
    """Draw the path of a thing that only moves with the camera."""
    still = np.zeros(2)
    return Path(
        start=rng.uniform(0.15, 0.85, 2) * size,
        velocity=still,
        sway=still,
        sway_rate=still,
        angle=rng.uniform(0, 2 * math.pi),
        spin=0.0,
        radius=rng.uniform(0.10, 0.28) * size,
        growth=0.0,
        squeeze=rng.uniform(0.8, 1.25),
    )


@dataclass(frozen=True, slots=True)
class Camera:
    """Pan, slow sway and shake of the camera, as a shift of the picture that never exceeds `limit` pixels."""

    pan: Floats
    sway: Floats
    shake: Floats
    limit: float

    def shift(self, frame: int) -> Floats:
        """Shift in pixels, x right and y down."""
        jolt = self.shake * np.array([math.sin(2.1 * frame), math.sin(2.9 * frame + 1.0)])
        shift: Floats = self.pan * frame + self.sway * math.sin(0.3 * frame) + jolt
        return np.clip(shift, -self.limit, self.limit)


def camera(rng: np.random.Generator, size: int, limit: float, shaky: bool) -> Camera:
    """Draw a camera: half of them pan, half of them sway, and some of the shaky ones shake."""
    scale = size / 128
    pan = rng.normal(size=2) * 0.4 * scale * (rng.random() < 0.5)
    sway = rng.uniform(0.0, 6.0, 2) * scale * (rng.random() < 0.5)
    shake = rng.uniform(0.0, 2.5, 2) * scale * (shaky and rng.random() < 0.5)
    return Camera(pan, sway, shake, limit)
