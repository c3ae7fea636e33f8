"""The results of a clip, read from its masks file, as converters take them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from masklet.runtime.errors import MasksError
from masklet.runtime.masks.mask_lines import MaskLines, MaskRecord
from masklet.runtime.pixels.geometry import BoolArray

UNNAMED = "object"  # what an object is that has neither a name nor a phrase


@dataclass(frozen=True, slots=True, eq=False)
class ClipObject:
    """An object that is in sight on a frame. label: what it is; its class, as other tools call it."""

    record: MaskRecord
    label: str

    @property
    def id(self) -> int:
        return self.record.id

    @property
    def box_xywh(self) -> tuple[int, int, int, int]:
        """Left, top, width and height in pixels."""
        x, y, w, h = (round(value) for value in self.record.bbox)
        return x, y, w, h

    def mask(self) -> BoolArray:
        """[H, W] bool."""
        return self.record.segmentation.mask()


@dataclass(frozen=True, slots=True, eq=False)
class ClipFrame:
    """A frame and its objects in sight. image: the name of its picture."""

    index: int
    image: str
    objects: list[ClipObject]


class ClipResults:
    """Goes through a masks file frame by frame, as often as it is needed.

    names: of objects by id, which become their labels; others have their phrase, or are an `object`.
    images: the name of a frame's picture, with {frame} where its index goes, as in `{frame:05d}.jpg`.
    Raises MasksError for a file without a mask, with masks of several sizes, or a pattern that is none.
    """

    def __init__(self, path: Path, names: Mapping[int, str], images: str) -> None:
        self.path, self._lines, self.names, self._images = path, MaskLines(path), names, images
        sizes = {record.segmentation.size for line in self._lines for record in line.objects}
        if len(sizes) != 1:
            raise MasksError(f"{path}: holds {'no mask' if not sizes else 'masks of several sizes'}")
        [self.hw] = sizes
        self.image_of(0)

    @cached_property
    def labels(self) -> list[str]:
        """The labels of all objects, each once, in the order of the alphabet."""
        return sorted({one.label for frame in self for one in frame.objects})

    def image_of(self, frame: int) -> str:
        """The name of a frame's picture."""
        try:
            return self._images.format(frame=frame)
        except (ValueError, KeyError, IndexError, AttributeError):
            raise MasksError(f"--images {self._images}: wanted a name such as {{frame:05d}}.jpg") from None

    def __iter__(self) -> Iterator[ClipFrame]:
        for line in self._lines:
            seen = [one for one in line.objects if one.bbox[2] > 0]
            objects = [ClipObject(one, self.names.get(one.id) or one.phrase or UNNAMED) for one in seen]
            yield ClipFrame(line.frame, self.image_of(line.frame), objects)
