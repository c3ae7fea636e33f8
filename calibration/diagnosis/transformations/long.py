"""Long tracking: a clip played there and back for hundreds of frames, with long absences between."""

from collections.abc import Iterator

import cv2
import numpy as np
from masklet.calibration.diagnosis.transformations.speed import there_and_back
from masklet.calibration.diagnosis.transformations.true_clip import U8, BoolArray, Shot, TrueClip

LENGTH = (500, 1000, 2000)  # frames, by level
ABSENCE = (20, 40, 80)  # frames in which no object is in sight, each time the clip turns
PAINTED = 5  # pixels around an object that are painted over with it


def long(clip: TrueClip, level: int, rng: np.random.Generator) -> Iterator[Shot]:
    """The clip there and back; at each turn its objects are painted out of the last picture for a while."""
    empty: Shot | None = None
    for part in range(LENGTH[level - 1]):
        number, absent = place(part, len(clip), ABSENCE[level - 1])
        if not absent:
            empty = None
            yield clip.shot(number)
            continue
        if empty is None:
            shot = clip.shot(number)
            empty = Shot(without_objects(shot), {i: np.zeros(clip.hw, np.bool_) for i in shot.masks})
        yield empty


def place(part: int, frames: int, away: int) -> tuple[int, bool]:
    """The frame of the clip that a part of the long one shows, and whether its objects are absent."""
    turns, rest = divmod(part, frames + away)
    absent = rest >= frames
    return there_and_back(turns * (frames - 1) + min(rest, frames - 1), frames), absent


def without_objects(shot: Shot) -> U8:
    """A picture with every object painted over from its surroundings."""
    objects: BoolArray = np.any(list(shot.masks.values()), axis=0)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * PAINTED + 1, 2 * PAINTED + 1))
    wide = cv2.dilate(objects.astype(np.uint8), disk)
    return np.asarray(cv2.inpaint(np.ascontiguousarray(shot.image), wide, 3, cv2.INPAINT_TELEA), np.uint8)
