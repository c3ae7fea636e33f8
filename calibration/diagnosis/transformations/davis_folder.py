"""Clips written as DAVIS has them: JPEGImages/NAME/00000.jpg and Annotations/NAME/00000.png."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from masklet.calibration.diagnosis.transformations.jpeg import jpeg
from masklet.calibration.diagnosis.transformations.true_clip import Shot
from masklet.runtime.errors import CalibrationError
from masklet.runtime.pixels.geometry import boxes_xyxy
from masklet.runtime.pixels.palette import palette_png
from masklet.runtime.results import FrameResult
from masklet.runtime.sinks.output_file import check_parent

QUALITY = 95  # of the JPEGs


def check_folder(folder: Path) -> None:
    """Raise MaskletError where clips cannot be written into a folder, before any work is done."""
    check_parent(folder)
    if folder.exists() and not folder.is_dir():
        raise CalibrationError(f"--write {folder}: is a file; name a folder")


def written(shots: Iterator[Shot], folder: Path, name: str) -> Iterator[Shot]:
    """Write shots as they pass. Where masks overlap, the object with the larger id has the pixel."""
    pictures, masks = folder / "JPEGImages" / name, folder / "Annotations" / name
    try:
        for each in (pictures, masks):
            each.mkdir(parents=True, exist_ok=True)
        for number, shot in enumerate(shots):
            (pictures / f"{number:05d}.jpg").write_bytes(jpeg(shot.image, QUALITY))
            path = masks / f"{number:05d}.png"
            path.write_bytes(palette_png(_result(number, shot), path))
            yield shot
    except OSError as error:
        raise CalibrationError(f"--write {folder}: cannot be written: {error.strerror or error}") from None


def _result(number: int, shot: Shot) -> FrameResult:
    ids = sorted(shot.masks)
    masks = np.stack([shot.masks[i] for i in ids])
    return FrameResult(number, 0.0, np.array(ids, np.int64), masks, boxes_xyxy(masks), np.ones(len(ids), np.float32))
