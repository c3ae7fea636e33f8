"""A frame as it is shown later: small, with its masks and what each position made of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from masklet.calibration.diagnosis.observer.positions import F32, BoolArray, Position
from masklet.calibration.diagnosis.transformations.jpeg import decoded, jpeg
from masklet.calibration.diagnosis.transformations.true_clip import U8
from masklet.runtime.results import Frame
from typing_extensions import Self

EDGE = 192  # pixels of a kept picture's longer side
QUALITY = 88


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A small picture, packed, since there are as many as frames.

    in_sight: whether the truth has the object; None without a truth. size: width and height in pixels. truth, found:
    bits. maps: what cells score, 0..255, [rows, columns].
    """

    frame: int
    in_sight: bool | None
    size: tuple[int, int]
    jpeg: bytes
    truth: U8 | None
    found: U8
    maps: dict[Position, U8]

    @classmethod
    def of(cls, frame: Frame, truth: BoolArray | None, found: BoolArray, maps: Mapping[Position, F32]) -> Self:
        """A frame with its masks [H, W] and the scores [rows, columns] of each position."""
        scale = min(1.0, EDGE / max(frame.hw))
        size = max(1, round(frame.hw[1] * scale)), max(1, round(frame.hw[0] * scale))
        small = np.asarray(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA), np.uint8)
        return cls(
            frame=frame.index,
            in_sight=None if truth is None else bool(truth.any()),
            size=size,
            jpeg=jpeg(small, QUALITY),
            truth=None if truth is None else _packed(truth, size),
            found=_packed(found, size),
            maps={position: _shown(scores, position) for position, scores in maps.items()},
        )

    @property
    def image(self) -> U8:
        """The frame, [height, width, 3] RGB."""
        return decoded(self.jpeg)

    @property
    def masks(self) -> tuple[BoolArray | None, BoolArray]:
        """The true mask and the one that was found, [height, width]."""
        return None if self.truth is None else self._unpacked(self.truth), self._unpacked(self.found)

    def _unpacked(self, bits: U8) -> BoolArray:
        width, height = self.size
        return np.unpackbits(bits, count=width * height).reshape(height, width).view(np.bool_)


def _packed(mask: BoolArray, size: tuple[int, int]) -> U8:
    soft = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.packbits(soft >= 0.5)


def _shown(scores: F32, position: Position) -> U8:
    """Scores as 0..255: a read-out's from -1 (background) to 1 (object), a mask's logits as probabilities."""
    part = 1 / (1 + np.exp(-np.clip(scores, -30, 30))) if position is Position.MASK else (scores + 1) / 2
    return (np.clip(part, 0, 1) * 255 + 0.5).astype(np.uint8)
