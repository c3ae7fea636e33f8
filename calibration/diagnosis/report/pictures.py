"""Films: rows of a frame and what each position tells of it, the object lighting up from position to position."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from masklet.calibration.diagnosis.observation import Picture
from masklet.calibration.diagnosis.observer.positions import BoolArray, Position
from masklet.calibration.diagnosis.transformations.jpeg import decoded, jpeg
from masklet.calibration.diagnosis.transformations.true_clip import U8
from masklet.calibration.diagnosis.verdicts.verdict import Verdict

SHOWN = 176  # pixels of a picture's longer side
QUALITY = 82
DIMMED = 0.55  # of the frame's brightness below a heat map
TRUE, FOUND = (255, 255, 255), (80, 170, 255)  # outlines
EVENLY = 5  # frames of an object that was not lost


@dataclass(frozen=True)
class Row:
    """A frame of a film. pictures: data URIs, by column; the first is the frame with the masks drawn in."""

    frame: int
    pictures: list[tuple[str, str]]


def film(pictures: Sequence[Picture], verdict: Verdict | None) -> list[Row]:
    """The frames that tell a verdict, or some frames of an object without one."""
    by_frame = {picture.frame: picture for picture in pictures}
    wanted = _evenly(pictures) if verdict is None else _around(verdict, pictures)
    return [_row(by_frame[frame]) for frame in wanted]


def _evenly(pictures: Sequence[Picture]) -> list[int]:
    seen = [p.frame for p in pictures if p.truth is None or p.truth.any()]
    return sorted({seen[round(part)] for part in np.linspace(0, len(seen) - 1, min(EVENLY, len(seen)))})


def _around(verdict: Verdict, pictures: Sequence[Picture]) -> list[int]:
    """The first frame, those before and after the loss, and the one on which it is over."""
    frames = [p.frame for p in pictures if p.truth is None or p.truth.any()]
    since, lost = (frames.index(at) for at in (verdict.since, verdict.frame))
    places = {0, since // 2, since - 1, since, lost, lost + 2, lost + 5}
    if verdict.until in frames:
        places.add(frames.index(verdict.until))
    return [frames[place] for place in sorted(places) if 0 <= place < len(frames)]


def _row(picture: Picture) -> Row:
    frame = decoded(picture.jpeg)
    scale = SHOWN / max(frame.shape[:2])
    size = round(frame.shape[1] * scale), round(frame.shape[0] * scale)
    small = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
    truth = None if picture.truth is None else _sized(picture.truth, size)
    shown = small.copy()
    _outline(shown, _sized(picture.found, size), FOUND)
    heats = [(p.value, _heat(small, picture.maps[p], truth)) for p in Position if p in picture.maps]
    _outline(shown, truth, TRUE)
    return Row(picture.frame, [("frame", _uri(shown)), *((name, _uri(heat)) for name, heat in heats)])


def _heat(frame: U8, scores: U8, truth: BoolArray | None) -> U8:
    """Scores 0..255 over the frame in grey, with the true outline."""
    size = frame.shape[1], frame.shape[0]
    large = cv2.resize(scores, size, interpolation=cv2.INTER_LINEAR)
    colours = cv2.cvtColor(cv2.applyColorMap(large, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB).astype(np.float32)
    grey = np.repeat(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2).astype(np.float32) * DIMMED
    part = large[..., None].astype(np.float32) / 255
    heat = np.clip(grey * (1 - part) + colours * (0.25 + 0.75 * part), 0, 255).astype(np.uint8)
    _outline(heat, truth, TRUE)
    return heat


def _outline(image: U8, mask: BoolArray | None, colour: tuple[int, int, int]) -> None:
    if mask is not None:
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, contours, -1, colour, 1)


def _sized(mask: BoolArray, size: tuple[int, int]) -> BoolArray:
    return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) >= 0.5


def _uri(image: U8) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(image, QUALITY)).decode()
