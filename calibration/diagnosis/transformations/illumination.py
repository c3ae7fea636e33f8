"""Illumination: gamma that drifts, flicker, a shadow that passes, and a jump of the exposure. The truth stays."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import pi, sin

import numpy as np
import numpy.typing as npt
from masklet.calibration.diagnosis.transformations.ramp import ramp
from masklet.calibration.diagnosis.transformations.true_clip import U8, Shot, TrueClip

F32 = npt.NDArray[np.float32]
DARK_GAMMA = (1.4, 1.9, 2.6)  # by level
FLICKER = (0.08, 0.16, 0.3)  # of the brightness, either way
SHADOW = (0.75, 0.5, 0.3)  # of the brightness is left in it
JUMP = (1.25, 1.6, 2.2)  # up or down
PERIOD = 5.3  # frames of the flicker: no whole number, so that no two frames are alike
SHADOW_WIDTH = 0.35  # of the frame's width
SHADOW_EDGE = 0.06


@dataclass(frozen=True)
class Light:
    """The light of a whole clip: value = 255 gain shadow (value / 255) ^ gamma, cut off at 255.

    frames: of the clip. phase: of the flicker. slant: how far the shadow leans, in widths over the height. jumps_at:
    the frame of the jump. brighter: whether it jumps up.
    """

    level: int
    frames: int
    phase: float
    slant: float
    jumps_at: int
    brighter: bool

    def gamma(self, frame: int) -> float:
        """Exponent of a frame; above 1 is darker."""
        drift = sin(pi * frame / max(self.frames - 1, 1)) if self.frames > 20 else 1.0
        return 1 + (DARK_GAMMA[self.level - 1] - 1) * drift * ramp(frame)

    def gain(self, frame: int) -> float:
        """Factor of a frame: flicker, and the exposure after the jump."""
        flicker = 1 + FLICKER[self.level - 1] * sin(2 * pi * frame / PERIOD + self.phase) * ramp(frame)
        jump = JUMP[self.level - 1] if self.brighter else 1 / JUMP[self.level - 1]
        return flicker * (jump if frame >= self.jumps_at else 1.0)

    def shadow(self, frame: int, hw: tuple[int, int]) -> F32:
        """Factor of each pixel [H, W]: a slanted band with soft edges that crosses the frame in the clip's time."""
        height, width = hw
        y, x = np.mgrid[:height, :width].astype(np.float32)
        middle = -SHADOW_WIDTH + (1 + 2 * SHADOW_WIDTH) * frame / max(self.frames - 1, 1)
        away = np.abs(x / width + self.slant * (y / height - 0.5) - middle) - SHADOW_WIDTH / 2
        inside = np.clip(0.5 - away / SHADOW_EDGE, 0, 1) * ramp(frame)
        return np.asarray(1 - (1 - SHADOW[self.level - 1]) * inside, np.float32)

    def apply(self, image: U8, frame: int) -> U8:
        """The image [H, W, 3] in this light."""
        tone = 255 * self.gain(frame) * (np.arange(256, dtype=np.float32) / 255) ** self.gamma(frame)
        lit = tone[image] * self.shadow(frame, image.shape[:2])[..., None]
        return np.clip(lit + 0.5, 0, 255).astype(np.uint8)


def draw_light(frames: int, level: int, rng: np.random.Generator) -> Light:
    """The light of a clip, drawn."""
    return Light(
        level,
        frames,
        phase=float(rng.uniform(0, 2 * pi)),
        slant=float(rng.uniform(-0.5, 0.5)),
        jumps_at=int(frames * rng.uniform(0.4, 0.7)),
        brighter=bool(rng.random() < 0.5),
    )


def illumination(clip: TrueClip, level: int, rng: np.random.Generator) -> Iterator[Shot]:
    """The clip in another light."""
    light = draw_light(len(clip), level, rng)
    for number, shot in enumerate(clip.shots()):
        yield Shot(light.apply(shot.image, number), shot.masks)
