"""Films: rows of a frame and what each position tells of it, the object lighting up from position to position."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from masklet.calibration.diagnosis.observer.positions import BoolArray, Position
from masklet.calibration.diagnosis.picture import Picture
from masklet.calibration.diagnosis.report.report import Finding
from masklet.calibration.diagnosis.transformations.jpeg import jpeg
from masklet.calibration.diagnosis.transformations.true_clip import U8
from masklet.calibration.diagnosis.verdicts.verdict import Verdict

SHOWN = 176  # pixels of a picture's longer side
QUALITY = 82
DIMMED = 0.55  # of the frame's brightness below a heat map
TRUE, FOUND = (255, 255, 255), (255, 70, 210)  # outlines: white, pink
EVENLY = 5  # frames of an object that was not lost


@dataclass(frozen=True)
class Row:
    """A frame of a film. pictures: data URIs by column; the first is the frame with the masks drawn in."""

    frame: int
    pictures: dict[str, str]


@dataclass(frozen=True)
class Film:
    """A film with what it tells. finding: None of an object that was not lost."""

    object_id: int
    finding: Finding | None
    rows: list[Row]


def films(pictures: Mapping[int, Sequence[Picture]], findings: Sequence[Finding], most: int) -> list[Film]:
    """A film of every verdict and of every object without one, the first of them. pictures: of each object."""
    asked: list[tuple[int, Finding | None]] = []
    for object_id in pictures:
        mine = [finding for finding in findings if finding.verdict.object_id == object_id]
        asked += [(object_id, finding) for finding in mine] or [(object_id, None)]
    return [Film(i, finding, _rows(pictures[i], finding)) for i, finding in asked[:most]]


def _rows(pictures: Sequence[Picture], finding: Finding | None) -> list[Row]:
    seen = [picture for picture in pictures if picture.in_sight is not False]
    frames = [picture.frame for picture in seen]
    places = _evenly(len(seen)) if finding is None else _around(finding.verdict, frames)
    return [_row(seen[place]) for place in places]


def _evenly(count: int) -> list[int]:
    return sorted({round(part) for part in np.linspace(0, count - 1, min(EVENLY, count))})


def _around(verdict: Verdict, frames: Sequence[int]) -> list[int]:
    """The first frame, those before and after the loss, and the one on which it is over."""
    since, lost = frames.index(verdict.since), frames.index(verdict.frame)
    places = {0, since // 2, since - 1, since, lost, lost + 2, lost + 5}
    if verdict.until in frames:
        places.add(frames.index(verdict.until))
    return [place for place in sorted(places) if 0 <= place < len(frames)]


def _row(picture: Picture) -> Row:
    scale = SHOWN / max(picture.size)
    size = round(picture.size[0] * scale), round(picture.size[1] * scale)
    frame = np.asarray(cv2.resize(picture.image, size, interpolation=cv2.INTER_AREA), np.uint8)
    truth, found = (None if mask is None else _sized(mask, size) for mask in picture.masks)
    shown = frame.copy()
    _outline(shown, found, FOUND)
    _outline(shown, truth, TRUE)
    heats = {p.value: _uri(_heat(frame, picture.maps[p], truth)) for p in Position if p in picture.maps}
    return Row(picture.frame, {"frame": _uri(shown), **heats})


def _heat(frame: U8, scores: U8, truth: BoolArray | None) -> U8:
    """Scores 0..255 over the frame in grey, with the true outline."""
    large = cv2.resize(scores, frame.shape[1::-1], interpolation=cv2.INTER_LINEAR)
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
    return np.asarray(cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) >= 0.5)


def _uri(image: U8) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(image, QUALITY)).decode()
