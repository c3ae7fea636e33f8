"""What is read from a format of another tool, frame by frame."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from masklet.runtime.errors import MasksError
from masklet.runtime.pixels.geometry import BoolArray

_NUMBER = re.compile(r"(\d+)\D*$")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledMask:
    """An object on a frame. mask: [H, W] bool. label: its class; None where the format has none."""

    id: int
    mask: BoolArray
    label: str | None = None
    score: float = 1.0

    def __post_init__(self) -> None:
        if self.id < 1:
            raise MasksError(f"the object's id is {self.id}; ids are from 1 on")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledFrame:
    """A frame and its objects. time_s: where the format knows it."""

    index: int
    objects: list[LabelledMask]
    time_s: float = 0.0


LabelledFrames = Iterator[LabelledFrame]


def frame_in(name: str) -> int | None:
    """The last number in the name of a picture, which is its frame's index; None where there is none."""
    match = _NUMBER.search(Path(name).stem)
    return None if match is None else int(match[1])
