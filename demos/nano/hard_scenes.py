"""What happens in the hard kinds of scenes: look-alikes that cross, long absences, crowds, and all of it for long.

Objects to be followed have the labels 1..objects. Look-alikes have larger ones: they are not followed, and the truth
says where a tracker has gone over to one of them. All of them roam within the picture and never come to rest.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from drawing import Bytes, Thing
from motion import Floats, Path
from paint import LOOKS, Look, patch
from shapes import outline

HARD_LOOK: Look = replace(LOOKS["cluttered"], look_alike=0.0, occluders=(0, 0.0))
BEFORE_ABSENCE = AFTER_ABSENCE = 20
"""Frames before an object goes missing in scenes of kind `absence`, and after it is back; it is away in between."""
CROWD = 9
_APART = 2.2  # radii that an object and its look-alike are apart in the first frame
_LONG_CYCLE = 200  # frames of a long scene from one absence of an object to the next


def _roaming(rng: np.random.Generator, size: int, radius: float) -> Path:
    """A path to and fro across the picture, at a walking pace; it is all in the picture but for an edge."""
    start = rng.uniform(0.3, 0.7, 2) * size
    reach = rng.uniform(0.2, 0.34, 2) * size * rng.choice([-1.0, 1.0], 2)
    pace = rng.uniform(0.04, 0.11, 2)
    return Path(
        start=start,
        velocity=np.zeros(2),
        sway=reach,
        sway_rate=pace,
        angle=rng.uniform(0, 2 * math.pi),
        spin=rng.normal() * 0.02,
        radius=radius,
        growth=0.0,
        squeeze=rng.uniform(0.85, 1.18),
    )


def _object(rng: np.random.Generator, size: int, label: int) -> Thing:
    texture = patch(rng, rng.random(), False, HARD_LOOK)
    return Thing(outline(rng), texture, _roaming(rng, size, float(rng.uniform(0.09, 0.15) * size)), label)


def _look_alike(rng: np.random.Generator, of: Thing, size: int, frames: int, label: int) -> Thing:
    """Another thing of the same outline and texture, every second one of a somewhat different hue.

    It meets the first one about the middle of the clip.
    """
    radius = of.path.radius * rng.uniform(0.88, 1.14)
    for _ in range(50):
        path = _roaming(rng, size, radius)
        meeting = rng.uniform(0.35, 0.65) * min(frames, 120)
        towards = of.path.pose(meeting).centre - path.pose(meeting).centre
        path = replace(path, start=path.start + towards, squeeze=of.path.squeeze)
        if _distance(path, of.path, 0) > _APART * radius and _within(path.start, size):
            break
    texture = of.texture if rng.random() < 0.5 else _hue_turned(of.texture, int(rng.integers(6, 14)))
    return Thing(of.shape, texture, path, label)


def _hue_turned(texture: Bytes, by: int) -> Bytes:
    """A texture with its hues turned, in units of two degrees."""
    turned = cv2.cvtColor(texture, cv2.COLOR_RGB2HSV)
    turned[..., 0] = (turned[..., 0].astype(int) + by) % 180
    return np.asarray(cv2.cvtColor(turned, cv2.COLOR_HSV2RGB), np.uint8)


def _distance(one: Path, other: Path, frame: int) -> float:
    return float(np.linalg.norm(one.pose(frame).centre - other.pose(frame).centre))


def _within(place: Floats, size: int) -> bool:
    return bool((place > 0.1 * size).all() and (place < 0.9 * size).all())


def _distractors(rng: np.random.Generator, size: int, frames: int, objects: int) -> list[Thing]:
    """1 to 3 look-alikes of the first object, which cross it in front or behind."""
    things = [_object(rng, size, label) for label in range(1, objects + 1)]
    others = range(objects + 1, objects + 2 + int(rng.integers(3)))
    for label in others:
        things.insert(int(rng.integers(2)) * len(things), _look_alike(rng, things_of(things, 1), size, frames, label))
    return things


def things_of(things: list[Thing], label: int) -> Thing:
    """The thing with a label."""
    return next(thing for thing in things if thing.label == label)


def _absence(rng: np.random.Generator, size: int, frames: int, objects: int) -> list[Thing]:
    """The objects go missing together, and come back elsewhere; every second time a look-alike stays."""
    if frames <= BEFORE_ABSENCE + AFTER_ABSENCE:
        raise ValueError(f"frames {frames}: an absence takes more than {BEFORE_ABSENCE + AFTER_ABSENCE}")
    away = ((BEFORE_ABSENCE, frames - AFTER_ABSENCE),)
    things = [_object(rng, size, label) for label in range(1, objects + 1)]
    stays = [_look_alike(rng, things[0], size, frames, objects + 1)] if rng.random() < 0.5 else []
    return [*stays, *(replace(thing, path=replace(thing.path, absences=away)) for thing in things)]


def _crowd(rng: np.random.Generator, size: int, frames: int, objects: int) -> list[Thing]:
    """Nine things, every second one of which looks like another."""
    things = [_object(rng, size, label) for label in range(1, objects + 1)]
    for label in range(objects + 1, CROWD + 1):
        model = things_of(things, int(rng.integers(1, objects + 1)))
        alike = rng.random() < 0.5
        thing = _look_alike(rng, model, size, frames, label) if alike else _object(rng, size, label)
        things.insert(int(rng.integers(len(things) + 1)), thing)
    return things


def _long(rng: np.random.Generator, size: int, frames: int, objects: int) -> list[Thing]:
    """A look-alike, and objects that go missing for 20 to 100 frames in every 200."""
    things = [_object(rng, size, label) for label in range(1, objects + 1)]
    for row, thing in enumerate(things):
        starts = range(_LONG_CYCLE // 2 + 30 * row, frames, _LONG_CYCLE)
        absences = tuple((start, start + int(rng.integers(20, 101))) for start in starts)
        things[row] = replace(thing, path=replace(thing.path, absences=absences))
    return [_look_alike(rng, things[0], size, frames, objects + 1), *things]


HARD: dict[str, Callable[[np.random.Generator, int, int, int], list[Thing]]] = {
    "distractors": _distractors,
    "absence": _absence,
    "crowd": _crowd,
    "long": _long,
}
