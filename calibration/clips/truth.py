"""Masks by frame and object: true masks of a user, and masks that a run wrote."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from masklet.runtime.errors import CalibrationError
from masklet.runtime.pixels.geometry import boxes_xyxy
from masklet.runtime.prompts.syntax import read_labels
from masklet.runtime.results import Finding, FrameResult
from pycocotools import mask as coco

BoolArray = npt.NDArray[np.bool_]
_NUMBER = re.compile(r"(\d+)\D*$")


class MasksByFrame(Protocol):
    """Masks of a clip."""

    def masks(self, frame: int, hw: tuple[int, int]) -> Mapping[int, BoolArray] | None:
        """The masks [H, W] of a frame by object id; None if the frame has no annotation.

        hw: expected height and width. Raises CalibrationError for another size.
        """
        ...


class LabelPngs:
    """A folder of palette PNGs in the format of DAVIS: the number in the name is the frame, the pixel value the object.

    An object is absent on a frame if no pixel has its value. Raises CalibrationError for a folder without such files.
    """

    def __init__(self, folder: Path) -> None:
        numbered = ((path, _NUMBER.search(path.stem)) for path in sorted(folder.glob("*.png")))
        self._paths = {int(match[1]): path for path, match in numbered if match}
        if not self._paths:
            raise CalibrationError(f"{folder}: no masks; expected PNGs named by their frame number, such as 00000.png")

    def masks(self, frame: int, hw: tuple[int, int]) -> Mapping[int, BoolArray] | None:
        if frame not in self._paths:
            return None
        labels = read_labels(self._paths[frame])
        _check_size(self._paths[frame], frame, labels.shape, hw)
        return _Labels(labels)


class _Labels(Mapping[int, BoolArray]):
    """The mask of any object of a label image; empty where it is absent."""

    def __init__(self, labels: npt.NDArray[Any]) -> None:
        self._labels = labels

    def __getitem__(self, object_id: int) -> BoolArray:
        mask: BoolArray = self._labels == object_id
        return mask

    def __iter__(self) -> Any:
        return iter(int(value) for value in np.unique(self._labels) if value)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class MaskLines:
    """The JSON lines with COCO RLE that `masklet run --masks` writes, read on demand.

    phrases: all phrases with at least one instance.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets: dict[int, int] = {}
        self.phrases: set[str] = set()
        try:
            with path.open("rb") as file:
                while raw := file.readline():
                    line = json.loads(raw)
                    self._offsets[int(line["frame"])] = file.tell() - len(raw)
                    self.phrases |= {each["phrase"] for each in line["objects"] if each.get("phrase") is not None}
        except OSError as error:
            raise CalibrationError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CalibrationError(f"{path}: not the JSON lines that `masklet run --masks` writes") from None
        if not self._offsets:
            raise CalibrationError(f"{path}: holds no frame")

    def masks(self, frame: int, hw: tuple[int, int]) -> Mapping[int, BoolArray] | None:
        if frame not in self._offsets:
            return None
        return {each["id"]: coco.decode(each["segmentation"]).astype(bool) for each in self._line(frame, hw)["objects"]}

    def result(self, frame: int, hw: tuple[int, int]) -> FrameResult:
        """The result of a frame that was written."""
        line = self._line(frame, hw)
        objects = line["objects"]
        masks = np.zeros((len(objects), *hw), np.bool_)
        for mask, each in zip(masks, objects, strict=True):
            mask[:] = coco.decode(each["segmentation"])
        return FrameResult(
            frame,
            line["time_s"],
            np.array([each["id"] for each in objects], np.int64),
            masks,
            boxes_xyxy(masks),
            np.array([each["score"] for each in objects], np.float32),
            tuple(Finding(each["phrase"], each["presence"]) for each in objects if "phrase" in each),
        )

    def _line(self, frame: int, hw: tuple[int, int]) -> dict[str, Any]:
        with self._path.open("rb") as file:
            file.seek(self._offsets[frame])
            line: dict[str, Any] = json.loads(file.readline())
        for each in line["objects"]:
            _check_size(self._path, frame, tuple(each["segmentation"]["size"]), hw)
        return line


def open_truth(path: Path) -> MasksByFrame:
    """True masks: a folder of DAVIS PNGs, or a file of JSON lines with COCO RLE. Raises CalibrationError."""
    if not path.exists():
        raise CalibrationError(f"{path}: no such file; give a folder of palette PNGs, or masks as JSON lines")
    return LabelPngs(path) if path.is_dir() else MaskLines(path)


def _check_size(path: Path, frame: int, shape: tuple[int, ...], hw: tuple[int, int]) -> None:
    if shape != hw:
        raise CalibrationError(
            f"{path}: masks of frame {frame} are {' x '.join(map(str, shape[::-1]))} pixels, the source's frames "
            f"{hw[1]} x {hw[0]}"
        )
