"""The transformations by name, and how the command line writes them: `occlusion:2`."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from masklet.calibration.diagnosis.transformations.clutter import clutter
from masklet.calibration.diagnosis.transformations.illumination import illumination
from masklet.calibration.diagnosis.transformations.long import LENGTH, long
from masklet.calibration.diagnosis.transformations.occlusion import occlusion
from masklet.calibration.diagnosis.transformations.speed import speed
from masklet.calibration.diagnosis.transformations.true_clip import Shot, TrueClip
from masklet.calibration.diagnosis.transformations.viewpoint import viewpoint
from masklet.runtime.errors import CalibrationError

LEVELS = (1, 2, 3)
FAMILIES: dict[str, Callable[[TrueClip, int, np.random.Generator], Iterator[Shot]]] = {
    "occlusion": occlusion,
    "illumination": illumination,
    "speed": speed,
    "viewpoint": viewpoint,
    "clutter": clutter,
    "long": long,
}
EVERY = "all"  # the five families that make a clip harder; not `long`, which makes it longer
HARDER = tuple(name for name in FAMILIES if name != "long")


@dataclass(frozen=True, slots=True)
class Transformation:
    """A family at a level, 1 to 3. Raises CalibrationError where there is none."""

    family: str
    level: int

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise CalibrationError(
                f"--transform {self.family}: there is no such transformation; give one of {', '.join(FAMILIES)}, or "
                f"{EVERY}"
            )
        if self.level not in LEVELS:
            raise CalibrationError(f"--transform {self.family}:{self.level}: levels are 1, 2 and 3")

    def __str__(self) -> str:
        return f"{self.family}:{self.level}"

    def apply(self, clip: TrueClip, seed: int) -> Iterator[Shot]:
        """The clip transformed; the same for the same seed."""
        rng = np.random.default_rng([seed, zlib.crc32(self.family.encode()), self.level])
        return FAMILIES[self.family](clip, self.level, rng)

    def length(self, clip: TrueClip) -> int:
        """How many frames `apply` gives."""
        return LENGTH[self.level - 1] if self.family == "long" else len(clip)


def parse_transformations(texts: Sequence[str]) -> list[Transformation]:
    """Read `NAME` for its three levels, `NAME:LEVEL`, and `all`, each once. Raises CalibrationError."""
    found: list[Transformation] = []
    for text in texts:
        name, mark, level = text.partition(":")
        if mark and not level.isdecimal():
            raise CalibrationError(f"--transform {text}: expected NAME or NAME:LEVEL, such as occlusion:2")
        names = HARDER if name == EVERY else (name,)
        levels = (int(level),) if mark else LEVELS
        found += [Transformation(each, number) for each in names for number in levels]
    return list(dict.fromkeys(found))
