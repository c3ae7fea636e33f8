"""Masks by frame, whatever they are kept in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from masklet.runtime.errors import MasksError
from masklet.runtime.masks.label_pngs import LabelPngs
from masklet.runtime.masks.mask_lines import MaskLines
from masklet.runtime.pixels.geometry import BoolArray


class MasksByFrame(Protocol):
    """Masks of a clip."""

    @property
    def frames(self) -> list[int]:
        """The indices of frames that it has."""
        ...

    def masks(self, frame: int) -> Mapping[int, BoolArray] | None:
        """The masks [H, W] of a frame by object id; None where nothing is known of it."""
        ...


def open_masks(path: Path) -> MasksByFrame:
    """A folder of DAVIS PNGs, or a file of JSON lines. Raises MasksError."""
    if not path.exists():
        raise MasksError(f"{path}: no such masks; give a folder of palette PNGs, or masks as JSON lines")
    return LabelPngs(path) if path.is_dir() else MaskLines(path)
