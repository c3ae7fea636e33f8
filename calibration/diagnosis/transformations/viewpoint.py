"""Viewpoint: the camera pans, zooms, rolls and tilts. Picture and truth go through one homography."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, pi, sin

import cv2
import numpy as np
import numpy.typing as npt
from masklet.calibration.diagnosis.transformations.ramp import ramp
from masklet.calibration.diagnosis.transformations.true_clip import U8, BoolArray, Shot, TrueClip

F64 = npt.NDArray[np.float64]
PAN = (0.06, 0.12, 0.22)  # of the frame's edge, by level
ROLL = (5.0, 12.0, 25.0)  # degrees
ZOOM = (1.15, 1.3, 1.6)
TILT = (0.06, 0.14, 0.25)  # how much smaller the far edge becomes


@dataclass(frozen=True)
class CameraMove:
    """How a camera moves through a clip. phases (radians), periods (frames): of pan x and y, roll, zoom and tilt."""

    level: int
    phases: tuple[float, ...]
    periods: tuple[float, ...]

    def homography(self, frame: int, hw: tuple[int, int]) -> F64:
        """From the clip's pixels to the moved frame's, [3, 3], about the frame's middle."""
        height, width = hw
        at, swing = self.level - 1, [self._swing(part, frame) for part in range(5)]
        angle = np.deg2rad(ROLL[at]) * swing[2]
        scale = ZOOM[at] ** swing[3]
        turn = np.array([[cos(angle), -sin(angle), 0], [sin(angle), cos(angle), 0], [0, 0, 1 / scale]])
        tilt = np.eye(3)
        tilt[2, 0] = TILT[at] * swing[4] / (width / 2)
        pan = np.eye(3)
        pan[:2, 2] = PAN[at] * swing[0] * width, PAN[at] * swing[1] * height
        centre = np.eye(3)
        centre[:2, 2] = (width - 1) / 2, (height - 1) / 2
        whole = centre @ pan @ tilt @ turn @ np.linalg.inv(centre)
        scaled: F64 = whole / whole[2, 2]
        return scaled

    def _swing(self, part: int, frame: int) -> float:
        """-1 to 1, and 0 on the first frame."""
        return sin(2 * pi * frame / self.periods[part] + self.phases[part]) * ramp(frame)


def draw_camera_move(level: int, rng: np.random.Generator) -> CameraMove:
    """A camera's move, drawn; the stronger, the faster."""
    slowest = 60 / level
    return CameraMove(level, tuple(rng.uniform(0, 2 * pi, 5)), tuple(rng.uniform(0.6, 1, 5) * slowest))


def moved_image(image: U8, homography: F64) -> U8:
    """An image [H, W, 3] through a homography; what it does not reach shows its edge."""
    size = image.shape[1], image.shape[0]
    return np.asarray(
        cv2.warpPerspective(image, homography, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def moved_mask(mask: BoolArray, homography: F64) -> BoolArray:
    """A mask [H, W] through a homography, linear and cut at one half; what it does not reach is not the object."""
    soft = cv2.warpPerspective(mask.astype(np.float32), homography, mask.shape[::-1], flags=cv2.INTER_LINEAR)
    cut: BoolArray = soft >= 0.5
    return cut


def viewpoint(clip: TrueClip, level: int, rng: np.random.Generator) -> Iterator[Shot]:
    """The clip as another camera would see it."""
    move = draw_camera_move(level, rng)
    for number, shot in enumerate(clip.shots()):
        homography = move.homography(number, clip.hw)
        masks = {i: moved_mask(mask, homography) for i, mask in shot.masks.items()}
        yield Shot(moved_image(shot.image, homography), masks)
