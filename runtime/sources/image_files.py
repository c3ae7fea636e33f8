"""A folder of images, or one image, as a source of frames."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from cv2.utils import logging
from masklet.runtime.errors import SourceError
from masklet.runtime.results import Frame
from masklet.runtime.sources.source import U8, Cut, Source

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
RATE = 30.0  # images have no time; frames per second of a folder


def is_image(path: Path) -> bool:
    """Whether the name is that of an image; hidden files do not count (macOS creates "._name.jpg")."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def list_images(folder: Path) -> list[Path]:
    """The images of a folder in natural order: 2.jpg before 10.jpg. Raises SourceError if it has none."""
    entries = list(folder.iterdir())
    images = sorted((p for p in entries if is_image(p) and p.is_file()), key=_natural)
    if not images:
        have = f"{len(entries)} entries, but no image" if entries else "nothing"
        raise SourceError(f"{folder}: contains {have}; expected files {', '.join(SUFFIXES)}")
    return images


def _natural(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", path.name.lower(), flags=re.ASCII)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]


class ImageFiles(Source):
    """Images of one size, in the given order; the index of a frame is its position in the order."""

    def __init__(self, name: str, paths: Sequence[Path], cut: Cut) -> None:
        self._paths = paths
        self._hw = read_image(paths[0]).shape[:2]
        super().__init__(name, cut, (self._hw[0], self._hw[1]), RATE, len(paths))

    def __iter__(self) -> Iterator[Frame]:
        for index in self.cut.indices(len(self._paths)):
            image = read_image(self._paths[index])
            if image.shape[:2] != self._hw:
                first, this = (f"{path.name} is {hw[1]}x{hw[0]}" for path, hw in self._sizes(index, image))
                raise SourceError(f"{self.name}: images differ in size: {first}, {this} pixels; all must have one size")
            yield Frame(index, index / RATE, self.cut.shrink(image))

    def _sizes(self, index: int, image: U8) -> list[tuple[Path, tuple[int, ...]]]:
        return [(self._paths[0], self._hw), (self._paths[index], image.shape)]


def read_image(path: Path) -> U8:
    """Read an image as [H, W, 3] uint8 RGB, rotated according to its EXIF tag.

    Grey and palette images become RGB, 16 bits become the upper 8, transparency is dropped. Raises SourceError, naming
    the file, if it cannot be decoded.
    """
    try:
        data = np.fromfile(path, np.uint8)
        with _silent_opencv():
            image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from None
    except cv2.error as error:
        raise SourceError(f"{path}: cannot be decoded: {error.err}") from None
    if image is None:
        raise SourceError(
            f"{path}: {data.size} bytes cannot be decoded as an image; the file is truncated, of another format, or "
            "has values other than 8 or 16 bits"
        )
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


@contextmanager
def _silent_opencv() -> Iterator[None]:
    """Suppress OpenCV's own messages about broken images; the user gets one line from masklet."""
    level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)
