"""The Source base class: frames of a video, a folder or a camera, one at a time.

Frames are delivered in the order of the source, or backwards. With `max_side` they are shrunk; prompts, masks and boxes
are in the pixels of delivered frames.
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
Tell = Callable[[str, str], None]  # called with an event, one word, and its details


@dataclass(frozen=True, slots=True)
class Cut:
    """Which frames of a source are delivered, and how large.

    start, end: frame indices; end is exclusive, None for all.
    stride:     every n-th frame from start on.
    max_side:   maximum of the longer side in pixels.
    reverse:    the same frames from the last to the first.
    Raises SourceError for values that leave no frame.
    """

    start: int = 0
    end: int | None = None
    stride: int = 1
    max_side: int | None = None
    reverse: bool = False

    def __post_init__(self) -> None:
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise SourceError(f"empty frame range {self.start} to {self.end}; expected 0 <= start < end")
        if self.stride < 1:
            raise SourceError(f"stride {self.stride} is below 1")
        if self.max_side is not None and self.max_side < 1:
            raise SourceError(f"max_side {self.max_side} is below 1 pixel")

    def indices(self, total: int) -> range:
        """The delivered frame indices of a source of `total` frames, in order."""
        last = total if self.end is None else min(self.end, total)
        forward = range(self.start, last, self.stride)
        return forward[::-1] if self.reverse else forward

    def takes(self, index: int) -> bool:
        """Whether a frame is delivered if the source has it."""
        before_end = self.end is None or index < self.end
        return index >= self.start and before_end and (index - self.start) % self.stride == 0

    def delivered_hw(self, hw: tuple[int, int]) -> tuple[int, int]:
        """Height and width after shrinking; the aspect ratio is kept to the pixel, and frames are never enlarged."""
        longer = max(hw)
        if self.max_side is None or longer <= self.max_side:
            return hw
        height, width = (max(1, round(side * self.max_side / longer)) for side in hw)
        return height, width

    def shrink(self, image: U8) -> U8:
        """Shrink an image [H, W, 3] uint8 to its delivered size, with an area filter against aliasing."""
        hw = image.shape[:2]
        height, width = self.delivered_hw((hw[0], hw[1]))
        if (height, width) == hw:
            return image
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """Options of a camera, the format of raw frames, and how a video file is decoded.

    size:         width and height in pixels; None for the camera's own choice.
    rate:         frames per second; None for the camera's own choice.
    pixel_format: FFmpeg's name (yuyv422, mjpeg, nv12, rgb24, ...); None for the camera's own choice.
    settings:     values of the options that one kind of source declares, by name; only those that were given.
    newest:       only the newest frame of a camera is wanted; False if every frame is.
    threads:      threads that decode a video file; None for FFmpeg's choice, one or more for each core.
    """

    size: tuple[int, int] | None = None
    rate: float | None = None
    pixel_format: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    newest: bool = True
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.size is not None and min(self.size) < 1:
            raise SourceError(f"size {self.size[0]}x{self.size[1]}: width and height must be at least 1 pixel")
        if self.rate is not None and not 0 < self.rate <= 1000:
            raise SourceError(f"rate {self.rate}: must be above 0 and at most 1000 frames/s")

    @property
    def asks_format(self) -> bool:
        """Whether a size, a rate or a pixel format is asked for."""
        return (self.size, self.rate, self.pixel_format) != (None, None, None)


def parse_size(text: str) -> tuple[int, int]:
    """Parse WIDTHxHEIGHT in pixels. Raises SourceError."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise SourceError(f"--size {text}: expected WIDTHxHEIGHT in pixels, such as 1280x720")
    return int(width), int(height)


class Source(Closing):
    """Frames of a video, a folder or a live source; iterate over it, in a `with` block.

    name:       as given, without password, for messages.
    size:       width and height of delivered frames, in pixels.
    fps:        delivered frames per second of the source's time.
    frames:     number of frames that will be delivered; None if unknown.
    corrupt:    number of frames that could not be decoded and were left out.
    reconnects: number of reconnections to a lost camera or stream.
    about:      what reads and decodes a camera or stream; "" for files.
    began_ns:   time of the day at time 0, in nanoseconds since 1970; None if unknown.
    lossy:      whether frames that are not taken in time are useless, as for cameras.
    tell:       called with an event and its details when a camera or stream is lost, found again, or changes.
    """

    lossy = False
    about = ""
    began_ns: int | None = None

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
        """Whether something for frame `index` is for the first delivered frame."""
        if self._total is None:
            return index <= self.cut.start
        return index == self.cut.indices(self._total)[0]

    @property
    def range(self) -> str:
        """The delivered frames, as text."""
        last = "on" if self._total is None else f"to {max(self.cut.indices(self._total))}"
        every = "" if self.cut.stride == 1 else f", every {self.cut.stride}."
        return f"frames {self.cut.start} {last}{every}"

    def will_yield(self, index: int) -> bool:
        """Whether the frame will be delivered, as far as is known in advance."""
        return self.cut.takes(index) and (self._total is None or index < self._total)

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Deliver the frames, from the first one on. Raises SourceError if none can be read."""

    def stop(self) -> None:
        """Ask the iteration of another thread to end while it waits for frames; files never wait."""

    def go_on(self, index: int, time_s: float) -> None:
        """Continue frame numbers from `index` and times from `time_s`, after a restart (live sources only)."""

    def close(self) -> None:
        """Release files and devices. Files are open only while frames are read."""


def _nobody(what: str, particulars: str) -> None:
    """Ignore an event."""
