"""Procedural videos with exact masks: what the nano model learns from and is judged on.

Three kinds. `plain`: distinct colours on dull backgrounds. `cluttered`: saturated, strewn backgrounds,
two-tone objects, look-alikes. `rich`: all of it, with octave-noise textures, strokes and letters, waving
outlines, shake, changing light and more things standing in front. In every kind objects overlap, leave the
picture and come back, or vanish for a while. The same kind, seed and sizes give the same bytes.

Four more kinds are only judged on: `distractors`, `absence`, `crowd` and `long` (see hard_scenes.py).
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath

import cv2
import numpy as np
from drawing import Finish, Stage, Thing, finish
from folder import write_clip
from hard_scenes import HARD, HARD_LOOK
from motion import camera, moving, standing
from numpy.typing import NDArray
from paint import LOOKS, Look, background, patch
from shapes import outline

Bytes = NDArray[np.uint8]

KINDS = tuple(LOOKS)
"""What is trained on."""
ALL_KINDS = (*KINDS, *HARD)
MOST_OBJECTS = 4
MOST_FRAMES = 3000
SIZES = (64, 512)
FIRST_AREA = 120 / 128**2
"""Least visible share of the picture of every object in the first frame."""
HELD_OUT_SEED = 2**31
"""Seeds from here on are reserved for evaluation; training draws below."""
_ATTEMPTS = 200
_NOISE_FRAMES = 1000
"""Frames after which the noise of a long clip comes again."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A rendered scene.

    frames: [T, H, W, 3] uint8, RGB. labels: [T, H, W] uint8; 0 is background, k the visible pixels of
    object k (1..objects), so masks are exact and disjoint. Larger labels are look-alikes.
    """

    kind: str
    seed: int
    objects: int
    frames: Bytes
    labels: Bytes

    def __post_init__(self) -> None:
        if self.frames.shape != (*self.labels.shape, 3):
            raise ValueError(f"frames {self.frames.shape} and labels {self.labels.shape} do not match")

    @property
    def ids(self) -> range:
        """Object ids, 1..objects."""
        return range(1, self.objects + 1)


def _check(kind: str, seed: int, size: int, frames: int, objects: int) -> None:
    if seed < 0:
        raise ValueError(f"seed {seed}: expected a number from 0")
    if kind not in ALL_KINDS:
        raise ValueError(f"kind of scene {kind!r}: expected one of {', '.join(ALL_KINDS)}")
    if not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"size {size}: expected {SIZES[0]} to {SIZES[1]} pixels")
    if not 1 <= frames <= MOST_FRAMES:
        raise ValueError(f"frames {frames}: expected 1 to {MOST_FRAMES}")
    if not 1 <= objects <= MOST_OBJECTS:
        raise ValueError(f"objects {objects}: expected 1 to {MOST_OBJECTS}")


def _things(rng: np.random.Generator, look: Look, size: int, frames: int, objects: int) -> list[Thing]:
    """Draw the objects, then what stands in front of them; hues are spread, look-alikes copied."""
    pace = float(np.exp(rng.normal() * 0.5)) * 1.5
    base = rng.random()
    hues = base + rng.permutation(objects) / max(objects, 3) + rng.uniform(-0.07, 0.07, objects)
    things: list[Thing] = []
    for index in range(objects):
        texture, shape = patch(rng, hues[index], False, look), outline(rng, look.rich)
        if index == 1 and rng.random() < look.look_alike:
            texture = things[0].texture
            shape = things[0].shape if rng.random() < 0.4 else shape
        wave = float(rng.uniform(0, 0.12)) if look.rich else 0.0
        path = moving(rng, size, frames, pace, leaves=0.3)
        things.append(Thing(shape, texture, path, label=index + 1, wave=wave))
    for _ in range(look.occluders[0]):
        if rng.random() < look.occluders[1]:
            texture, shape = patch(rng, rng.random(), not look.rich, look), outline(rng, look.rich)
            things.append(Thing(shape, texture, standing(rng, size), label=0))
    return things


def _stage(rng: np.random.Generator, kind: str, size: int, frames: int, objects: int) -> Stage:
    margin, look = 24 * size // 128, LOOKS.get(kind, HARD_LOOK)
    things = HARD[kind](rng, size, frames, objects) if kind in HARD else _things(rng, look, size, frames, objects)
    view = camera(rng, size, margin - 2.0, look.rich)
    return Stage(background(rng, size + 2 * margin, look), tuple(things), view, size, margin)


def _well_begun(stage: Stage, objects: int) -> bool:
    """Whether every object can be seen, and so clicked, in the first frame."""
    counts = np.bincount(stage.labels(0).reshape(-1), minlength=objects + 1)
    return bool(counts[1 : objects + 1].min() >= FIRST_AREA * stage.size**2)


def render(kind: str, seed: int, size: int = 128, frames: int = 30, objects: int = 2) -> Clip:
    """Render a clip in which every object is visible in the first frame.

    kind: one of ALL_KINDS. seed: any non-negative number. size: edge of the square picture in pixels.
    Raises ValueError for a size, length or number of objects that cannot be rendered.
    """
    _check(kind, seed, size, frames, objects)
    for attempt in range(_ATTEMPTS):
        rng = np.random.default_rng([seed, ALL_KINDS.index(kind), attempt])
        stage = _stage(rng, kind, size, frames, objects)
        if _well_begun(stage, objects):
            break
    else:
        raise ValueError(f"{kind} scene, seed {seed}: no arrangement shows all {objects} objects")
    manner: Finish = finish(rng, size, min(frames, _NOISE_FRAMES), LOOKS.get(kind, HARD_LOOK).rich)
    pictures = np.empty((frames, size, size, 3), np.uint8)
    labels = np.empty((frames, size, size), np.uint8)
    for frame in range(frames):
        picture, labels[frame] = stage.draw(frame)
        pictures[frame] = manner.apply(picture, frame)
    return Clip(kind, seed, objects, pictures, labels)


def held_out(kind: str, clips: int, size: int = 128, frames: int = 30, objects: int = 2) -> Iterator[Clip]:
    """Clips on the seeds that training never draws, always the same ones."""
    if clips < 1:
        raise ValueError(f"clips {clips}: expected at least 1")
    for index in range(clips):
        yield render(kind, HELD_OUT_SEED + index, size, frames, objects)


def main(arguments: list[str] | None = None) -> int:
    """Write one clip: video.mp4, frames/*.png and palette masks/*.png."""
    parser = argparse.ArgumentParser(prog="scenes.py", description=__doc__)
    parser.add_argument("kind", help=", ".join(ALL_KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=128, help="edge in pixels")
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--objects", type=int, default=2)
    parser.add_argument("-o", "--output", type=FilePath, required=True, help="a folder")
    chosen = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    try:
        clip = render(chosen.kind, chosen.seed, chosen.size, chosen.frames, chosen.objects)
        write_clip(chosen.output, clip.frames, clip.labels)
    except (ValueError, OSError) as error:
        print(f"scenes.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
