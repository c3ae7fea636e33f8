"""A folder of palette PNGs as DAVIS has them: the number in a name is the frame, a pixel's value the object's id."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from masklet.runtime.errors import MasksError
from masklet.runtime.pixels.geometry import BoolArray
from masklet.runtime.prompts.syntax import read_labels

_NUMBER = re.compile(r"(\d+)\D*$")


class LabelPngs:
    """An object is absent from a frame where no pixel has its value. Raises MasksError for a folder without such files.

    frames: the indices of frames that it has.
    """

    def __init__(self, folder: Path) -> None:
        numbered = ((path, _NUMBER.search(path.stem)) for path in sorted(folder.glob("*.png")))
        self._paths = {int(match[1]): path for path, match in numbered if match}
        if not self._paths:
            raise MasksError(f"{folder}: no masks; expected PNGs named by their frame number, such as 00000.png")

    @property
    def frames(self) -> list[int]:
        return list(self._paths)

    def masks(self, frame: int) -> Mapping[int, BoolArray] | None:
        """The masks [H, W] of a frame by object id; None where the folder has no such frame."""
        if frame not in self._paths:
            return None
        labels = read_labels(self._paths[frame])
        return {int(value): labels == value for value in np.unique(labels) if value}
