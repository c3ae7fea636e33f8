"""Where frames come from. `open_source` reads a SOURCE of the command line and picks the reader for it.

Frames are delivered in the order of the source, or backwards, one at a time. With `max_side` they are shrunk;
prompts, masks and boxes then count in the pixels of the frames as delivered.
"""

import re
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from masklet.runtime.closing import Closing
from masklet.runtime.errors import SourceError
from masklet.runtime.results import Frame

U8 = npt.NDArray[np.uint8]

_LIVE = re.compile(r"\d+|/dev/video.*|csi:.*|gst:.*|[A-Za-z][A-Za-z0-9+.-]*://.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Cut:
    """Which frames of a source are delivered, and how large.

    start, end: frame indices, end exclusive and None for all; stride: every n-th from start on; reverse: the
    same frames from the last to the first; max_side: the longer side in pixels is at most this. Raises
    SourceError for values that leave nothing.
    """

    start: int = 0
    end: int | None = None
    stride: int = 1
    max_side: int | None = None
    reverse: bool = False

    def __post_init__(self) -> None:
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise SourceError(f"frames {self.start} to {self.end} are none; wanted 0 <= start < end")
        if self.stride < 1:
            raise SourceError(f"stride {self.stride} is below 1")
        if self.max_side is not None and self.max_side < 1:
            raise SourceError(f"max_side {self.max_side} is below 1 pixel")

    def indices(self, total: int) -> range:
        """The frame indices that come from a source of `total` frames, in their order."""
        last = total if self.end is None else min(self.end, total)
        forward = range(self.start, last, self.stride)
        return forward[::-1] if self.reverse else forward

    def takes(self, index: int) -> bool:
        """Whether the frame is delivered, if the source has it."""
        before_end = self.end is None or index < self.end
        return index >= self.start and before_end and (index - self.start) % self.stride == 0

    def delivered_hw(self, hw: tuple[int, int]) -> tuple[int, int]:
        """Height and width after shrinking; the aspect ratio is kept to the pixel, and nothing is enlarged."""
        longer = max(hw)
        if self.max_side is None or longer <= self.max_side:
            return hw
        height, width = (max(1, round(side * self.max_side / longer)) for side in hw)
        return height, width

    def shrink(self, image: U8) -> U8:
        """image: [H, W, 3] uint8. Returns it at its delivered size; an area filter keeps it free of aliasing."""
        hw = image.shape[:2]
        height, width = self.delivered_hw((hw[0], hw[1]))
        if (height, width) == hw:
            return image
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


class Source(Closing):
    """Frames of one video, folder or feed; iterate over it, in a `with` block.

    name:    as it was given, for messages.
    size:    width and height of the frames as delivered, in pixels.
    fps:     delivered frames per second of the source's time.
    frames:  how many will be delivered, None where nobody knows.
    corrupt: frames that could not be decoded so far and were left out.
    """

    def __init__(self, name: str, cut: Cut, source_hw: tuple[int, int], rate: float, total: int | None) -> None:
        self.name = name
        self.cut = cut
        self.corrupt = 0
        self._total = total
        height, width = cut.delivered_hw(source_hw)
        self.size = (width, height)
        self.fps = rate / cut.stride
        if total is not None and cut.start >= total:
            raise SourceError(f"{name}: start {cut.start} is beyond its last frame, {total - 1}")

    @property
    def frames(self) -> int | None:
        return None if self._total is None else len(self.cut.indices(self._total))

    @property
    def range(self) -> str:
        """The delivered frames in words."""
        last = "on" if self._total is None else f"to {max(self.cut.indices(self._total))}"
        every = "" if self.cut.stride == 1 else f", every {self.cut.stride}."
        return f"frames {self.cut.start} {last}{every}"

    def will_yield(self, index: int) -> bool:
        """Whether the frame is among those that come, as far as is known before."""
        return self.cut.takes(index) and (self._total is None or index < self._total)

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Deliver the frames, from the first on. Raises SourceError where none can be read."""

    def close(self) -> None:
        """Let go of files and devices. Files are open only while frames are read."""


def open_source(
    spec: str,
    *,
    start: int = 0,
    end: int | None = None,
    stride: int = 1,
    max_side: int | None = None,
    reverse: bool = False,
) -> Source:
    """Open a video file, a folder of images or a single image.

    The other arguments are those of `Cut`. Raises SourceError, one line, where frames cannot be read from it.
    """
    from masklet.runtime.image_files import ImageFiles, is_image, list_images
    from masklet.runtime.video_file import VideoFile

    cut = Cut(start, end, stride, max_side, reverse)
    if _LIVE.fullmatch(spec):
        raise SourceError(f"{spec}: cameras and streams cannot be read yet; give a video file or a folder of images")
    path = Path(spec)
    try:
        if path.is_dir():
            return ImageFiles(spec, list_images(path), cut)
        if not path.is_file():
            raise SourceError(f"{spec}: no such file or folder; give a video, an image or a folder of images")
        return ImageFiles(spec, [path], cut) if is_image(path) else VideoFile(spec, path, cut)
    except PermissionError:
        raise SourceError(f"{spec}: permission denied") from None
