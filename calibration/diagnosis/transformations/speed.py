"""Speed: frames dropped and repeated, and motion blurred. There and back, so that the length stays."""

from collections.abc import Iterator

import numpy as np
from masklet.calibration.diagnosis.transformations.true_clip import U8, Shot, TrueClip

STEP = (2, 3, 5)  # frames on at once, by level
REPEATED = (0.1, 0.2, 0.3)  # of the frames show the one before once more
EXPOSURE = (1, 3, 5)  # frames that are seen as one, around the frame whose truth holds


def speed(clip: TrueClip, level: int, rng: np.random.Generator) -> Iterator[Shot]:
    """The clip, faster and with a long exposure."""
    for number, at in enumerate(shown_frames(len(clip), level, rng)):
        shot = clip.shot(at)
        yield shot if number == 0 else Shot(exposed(clip, at, EXPOSURE[level - 1]), shot.masks)


def shown_frames(frames: int, level: int, rng: np.random.Generator) -> list[int]:
    """Which of a clip's frames are shown, as many as it has: from the first on, turning back at its ends."""
    shown, passed = [0], 0
    while len(shown) < frames:
        repeats = rng.random() < REPEATED[level - 1]
        passed += STEP[level - 1]  # time goes on while a frame is shown once more
        shown.append(shown[-1] if repeats else there_and_back(passed, frames))
    return shown


def there_and_back(passed: int, frames: int) -> int:
    """The frame of a clip after so many, where it is played to its end, back to its first frame, and so on."""
    if frames == 1:
        return 0
    at = passed % (2 * frames - 2)
    return min(at, 2 * frames - 2 - at)


def exposed(clip: TrueClip, at: int, exposure: int) -> U8:
    """The mean of so many frames around one; at the clip's ends of those that there are."""
    if exposure == 1:
        return np.asarray(clip.images[at])
    around = clip.images[max(0, at - exposure // 2) : at + exposure // 2 + 1]
    mean: U8 = (around.mean(axis=0, dtype=np.float32) + 0.5).astype(np.uint8)
    return mean
