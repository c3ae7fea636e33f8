"""What a source is: frames of a video, a folder or a camera, one at a time.

Frames are delivered in the order of the source, or backwards, one at a time. With `max_side` they are shrunk;
prompts, masks and boxes then count in the pixels of the frames as delivered.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from masklet.runtime.closing import Closing
from masklet.runtime.errors import SourceError
from masklet.runtime.results import Frame

U8 = npt.NDArray[np.uint8]
Tell = Callable[[str, str], None]  # is told what happened, in one word, and the particulars


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


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """What is asked of a camera, and what raw frames are.

    size:         width and height in pixels; a camera's own choice where None.
    rate:         frames per second; the same.
    pixel_format: as FFmpeg names it (yuyv422, mjpeg, nv12, rgb24, ...); the same.
    settings:     values of the options that one kind of source declares, by name; what was not given is left out.
    """

    size: tuple[int, int] | None = None
    rate: float | None = None
    pixel_format: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.size is not None and min(self.size) < 1:
            raise SourceError(f"a size of {self.size[0]}x{self.size[1]} pixels is none")
        if self.rate is not None and not 0 < self.rate <= 1000:
            raise SourceError(f"{self.rate} frames/s is not within 0..1000")


def parse_size(text: str) -> tuple[int, int]:
    """Read WIDTHxHEIGHT in pixels. Raises SourceError."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise SourceError(f"--size {text}: expected WIDTHxHEIGHT in pixels, such as 1280x720")
    return int(width), int(height)


class Source(Closing):
    """Frames of one video, folder or feed; iterate over it, in a `with` block.

    name:    as it was given, for messages.
    size:    width and height of the frames as delivered, in pixels.
    fps:     delivered frames per second of the source's time.
    frames:  how many will be delivered, None where nobody knows.
    corrupt: frames that could not be decoded so far and were left out.
    reconnects: how often a lost camera or stream was found again.
    lossy:   whether frames that are not taken in time are of no more use.
    tell:    is told when a camera or stream is lost, found again, or changes.
    """

    lossy = False

    def __init__(self, name: str, cut: Cut, source_hw: tuple[int, int], rate: float, total: int | None) -> None:
        self.name = name
        self.cut = cut
        self.corrupt = 0
        self.reconnects = 0
        self.tell: Tell = _nobody
        self._total = total
        height, width = cut.delivered_hw(source_hw)
        self.size = (width, height)
        self.fps = rate / cut.stride
        if total is not None and cut.start >= total:
            raise SourceError(f"{name}: start {cut.start} is beyond its last frame, {total - 1}")

    @property
    def frames(self) -> int | None:
        return None if self._total is None else len(self.cut.indices(self._total))

    def begins_with(self, index: int) -> bool:
        """Whether what is due on a frame is due on the first one that comes."""
        if self._total is None:
            return index <= self.cut.start
        return index == self.cut.indices(self._total)[0]

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

    def stop(self) -> None:
        """Ask another thread's iteration to end where it waits for frames; files keep nobody waiting."""

    def go_on(self, index: int, time_s: float) -> None:
        """Number frames from `index` and time them from `time_s` on, as they went on before a restart (feeds only)."""

    def close(self) -> None:
        """Let go of files and devices. Files are open only while frames are read."""


def _nobody(what: str, particulars: str) -> None:
    """Takes no notice."""
