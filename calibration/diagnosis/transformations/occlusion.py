"""Occlusion: bars, blobs and objects of the clip itself pass in front. What they cover is taken out of the truth."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, pi, sin

import cv2
import numpy as np
import numpy.typing as npt
from masklet.calibration.diagnosis.transformations.cut_out import CutOut
from masklet.calibration.diagnosis.transformations.true_clip import U8, BoolArray, Shot, TrueClip

F64 = npt.NDArray[np.float64]
BARS, BLOBS, OBJECTS = (1, 2, 2), (0, 1, 2), (0, 0, 1)  # by level
BAR_WIDTH = (0.08, 0.12, 0.18)  # of the frame's width
BLOB_RADIUS = (0.1, 0.13, 0.17)
CORNERS = 12  # of a blob


@dataclass(frozen=True, eq=False)
class Occluder:
    """A shape that crosses the frame: from `start` to `end` (x, y of its middle, in pixels) between two frames.

    outline: corners [n, 2] about its middle. It is painted in one colour, or shows a piece of the clip.
    """

    outline: F64
    start: F64
    end: F64
    begins: int
    ends: int
    colour: tuple[int, int, int]
    piece: CutOut | None = None

    def cover(self, image: U8, frame: int) -> BoolArray:
        """Paint it into an image, in place; returns what it covers, [H, W]."""
        covered = np.zeros(image.shape[:2], np.uint8)
        if not self.begins <= frame <= self.ends:
            return covered.view(np.bool_)
        middle = self.start + (self.end - self.start) * (frame - self.begins) / max(self.ends - self.begins, 1)
        if self.piece is not None:
            height, width = self.piece.mask.shape
            return self.piece.paste(image, round(middle[1] - height / 2), round(middle[0] - width / 2))
        cv2.fillPoly(covered, [np.round(self.outline + middle).astype(np.int32)], 1)
        mask = covered.view(np.bool_)
        image[mask] = self.colour
        return mask


def occlusion(clip: TrueClip, level: int, rng: np.random.Generator) -> Iterator[Shot]:
    """The clip with things in front."""
    occluders = draw_occluders(clip, level, rng)
    for number, shot in enumerate(clip.shots()):
        image = np.array(shot.image)
        covered = np.zeros(clip.hw, np.bool_)
        for occluder in occluders:
            covered |= occluder.cover(image, number)
        yield Shot(image, {i: mask & ~covered for i, mask in shot.masks.items()})


def draw_occluders(clip: TrueClip, level: int, rng: np.random.Generator) -> list[Occluder]:
    """The shapes of a clip, drawn; each crosses the frame once, and none is there on the first frame."""
    at, height = level - 1, clip.hw[0]
    bars = [_bar(BAR_WIDTH[at] * clip.hw[1], 1.6 * max(clip.hw), rng) for _ in range(BARS[at])]
    blobs = [_blob(BLOB_RADIUS[at] * height, rng) for _ in range(BLOBS[at])]
    occluders = [_crossing(clip, outline, None, rng) for outline in (*bars, *blobs)]
    first, pieces = clip.shot(0), OBJECTS[at] if clip.objects else 0
    for _ in range(pieces):
        piece = CutOut.of(first.image, first.masks[clip.objects[int(rng.integers(len(clip.objects)))]])
        if piece is not None:
            corner = np.array(piece.mask.shape[::-1]) / 2
            occluders.append(_crossing(clip, np.array([-corner, corner]), piece.mirrored(), rng))
    return occluders


def _bar(width: float, length: float, rng: np.random.Generator) -> F64:
    angle = rng.uniform(-pi / 8, pi / 8)
    turn = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
    corners = np.array([[-width, -length], [width, -length], [width, length], [-width, length]]) / 2
    turned: F64 = corners @ turn.T
    return turned


def _blob(radius: float, rng: np.random.Generator) -> F64:
    angles = np.linspace(0, 2 * pi, CORNERS, endpoint=False)
    radii = radius * rng.uniform(0.7, 1.3, CORNERS)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _crossing(clip: TrueClip, outline: F64, piece: CutOut | None, rng: np.random.Generator) -> Occluder:
    """Let a shape cross from one side to the other, past where an object is half way, at a time of its own."""
    height, width = clip.hw
    begins = int(rng.integers(1, max(2, len(clip) // 3)))
    ends = min(len(clip) - 1, begins + max(3, int(len(clip) * rng.uniform(0.4, 0.65))))
    reach = float(np.abs(outline[:, 0]).max()) + width * 0.02
    rightwards = rng.random() < 0.5
    start, end = (-reach, width + reach) if rightwards else (width + reach, -reach)
    target = _middle_of_an_object(clip, (begins + ends) // 2, rng)
    y = height / 2 if target is None else target
    colour = clip.images[0][int(rng.integers(height)), int(rng.integers(width))]
    return Occluder(
        outline,
        np.array([start, y]),
        np.array([end, y]),
        begins,
        ends,
        (int(colour[0]), int(colour[1]), int(colour[2])),
        piece,
    )


def _middle_of_an_object(clip: TrueClip, number: int, rng: np.random.Generator) -> float | None:
    """The height at which an object is on a frame, in pixels; None where none is in sight."""
    seen = [mask for mask in clip.shot(number).masks.values() if mask.any()]
    return float(np.nonzero(seen[int(rng.integers(len(seen)))])[0].mean()) if seen else None
