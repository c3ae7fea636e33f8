"""The JSON lines with COCO RLE that `masklet run --masks` writes, read where they are needed."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from masklet.runtime.errors import MasksError
from masklet.runtime.pixels.coco_rle import CocoRle
from masklet.runtime.pixels.geometry import BoolArray


class MaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An object of a frame.

    bbox:  left, top, width, height in pixels.
    stale: number of frames since it was segmented.
    """

    id: int
    score: float = 1.0
    bbox: tuple[float, float, float, float]
    segmentation: CocoRle
    phrase: str | None = None
    presence: float | None = None
    stale: int = 0


class MaskLine(msgspec.Struct, frozen=True):
    """A frame and its objects."""

    frame: int
    objects: list[MaskRecord]
    time_s: float = 0.0


class MaskLines:
    """A file of such lines; where each begins is known, its masks are not held.

    frames: the indices of frames that it has, in its order. Raises MasksError naming the line that is wrong.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets: dict[int, int] = {}
        at = 0
        try:
            with path.open("rb") as file:
                for number, raw in enumerate(file, 1):
                    self._offsets[self._read(raw, number).frame] = at
                    at += len(raw)
        except OSError as error:
            raise MasksError(f"{path}: cannot be read: {error.strerror}") from None
        if not self._offsets:
            raise MasksError(f"{path}: holds no frame")

    @property
    def frames(self) -> list[int]:
        return list(self._offsets)

    def __iter__(self) -> Iterator[MaskLine]:
        """Every line, one at a time."""
        with self._path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                yield self._read(raw, number)

    def masks(self, frame: int) -> Mapping[int, BoolArray] | None:
        """The masks [H, W] of a frame by object id; None where the file has no such frame."""
        if frame not in self._offsets:
            return None
        with self._path.open("rb") as file:
            file.seek(self._offsets[frame])
            line = self._read(file.readline(), list(self._offsets).index(frame) + 1)
        return {one.id: one.segmentation.mask() for one in line.objects}

    def _read(self, raw: bytes, number: int) -> MaskLine:
        try:
            return msgspec.json.decode(raw, type=MaskLine)
        except (msgspec.DecodeError, RecursionError) as error:
            raise MasksError(
                f"{self._path}: line {number} is none that `masklet run --masks` writes: {error}"
            ) from None
