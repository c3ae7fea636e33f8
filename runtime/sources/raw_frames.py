"""Raw frames from standard input, in the format of FFmpeg's `-f rawvideo -`."""

import os
import select
import sys
import threading
from collections.abc import Iterator

import cv2
import numpy as np
from masklet.runtime.errors import SourceError
from masklet.runtime.results import Frame
from masklet.runtime.sources.source import U8, Cut, FeedOptions, Source

DEFAULT_RATE = 30.0
LOOK_S = 0.2  # time to wait for a silent pipe before checking whether to stop

# pixel format -> rows of bytes per row of pixels, bytes per pixel, OpenCV's conversion to RGB
_LAYOUTS: dict[str, tuple[float, int, int | None]] = {
    "rgb24": (1, 3, None),
    "bgr24": (1, 3, cv2.COLOR_BGR2RGB),
    "rgba": (1, 4, cv2.COLOR_RGBA2RGB),
    "bgra": (1, 4, cv2.COLOR_BGRA2RGB),
    "gray": (1, 1, cv2.COLOR_GRAY2RGB),
    "yuyv422": (1, 2, cv2.COLOR_YUV2RGB_YUYV),
    "nv12": (1.5, 1, cv2.COLOR_YUV2RGB_NV12),
    "yuv420p": (1.5, 1, cv2.COLOR_YUV2RGB_I420),
}


class RawFrames(Source):
    """Consecutive frames of one size and format, timed by their rate.

    A pipe that ends inside a frame has one corrupt frame. descriptor: file descriptor; None for standard input.
    """

    def __init__(self, name: str, cut: Cut, options: FeedOptions, descriptor: int | None = None) -> None:
        if options.size is None:
            raise SourceError("raw frames need --size WIDTHxHEIGHT, and --pixel-format if it is not rgb24")
        if cut.reverse:
            raise SourceError(f"{name}: cannot be read backwards")
        layout = options.pixel_format or "rgb24"
        if layout not in _LAYOUTS:
            raise SourceError(f"{name}: unknown pixel format {layout!r}; expected one of {', '.join(_LAYOUTS)}")
        width, height = options.size
        rows, pixel_bytes, self._conversion = _LAYOUTS[layout]
        if (rows != 1 and (width % 2 or height % 2)) or (layout == "yuyv422" and width % 2):
            raise SourceError(f"{name}: {layout} has one colour per pair of pixels; {width}x{height} is odd")
        self._shape = (round(height * rows), width, pixel_bytes)
        self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor
        self._rate = options.rate or DEFAULT_RATE
        self._stopped = threading.Event()
        self._first, self._first_s = 0, 0.0
        super().__init__(name, cut, (height, width), self._rate, None)

    def go_on(self, index: int, time_s: float) -> None:
        self._first, self._first_s = index, time_s

    def stop(self) -> None:
        self._stopped.set()

    def __iter__(self) -> Iterator[Frame]:
        index = self._first
        while self.cut.end is None or index < self.cut.end:
            raw = self._read(int(np.prod(self._shape)))
            if raw is None:
                return
            if self.cut.takes(index):
                yield Frame(index, self._first_s + (index - self._first) / self._rate, self.cut.shrink(self._rgb(raw)))
            index += 1

    def _read(self, size: int) -> bytearray | None:
        """The bytes of one frame; None at the end of the pipe, or after `stop`."""
        raw = bytearray()
        while len(raw) < size:
            part = self._part(size - len(raw))
            if part is None:
                return None
            if not part:
                self.corrupt += bool(raw)
                return None
            raw += part
        return raw

    def _part(self, at_most: int) -> bytes | None:
        while not self._stopped.is_set():
            if select.select([self._descriptor], [], [], LOOK_S)[0]:
                return os.read(self._descriptor, at_most)
        return None

    def _rgb(self, raw: bytearray) -> U8:
        image = np.frombuffer(raw, np.uint8).reshape(self._shape)
        if self._conversion is None:
            return image
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), self._conversion), np.uint8)
