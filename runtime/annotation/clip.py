"""A clip whose frames can be asked for in any order."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from masklet.runtime.closing import Closing
from masklet.runtime.errors import SourceError
from masklet.runtime.results import Frame
from masklet.runtime.sources.opening import open_source

KEPT_BYTES = 96 << 20  # of decoded frames
BEFORE = 16  # frames that are decoded before the one that is asked for, where the clip is gone through backwards


class Clip(Closing):
    """Frames of a file by their index, decoded when they are asked for; the last ones are kept.

    Going through it forwards or backwards decodes each frame about once. One thread at a time.
    indices: of the frames that there are, in the order of time; size: width and height in pixels.
    """

    def __init__(self, spec: str, cut: Mapping[str, Any]) -> None:
        self._spec, self._cut = spec, dict(cut)
        source = open_source(spec, **self._cut)
        if source.frames is None:
            source.close()
            raise SourceError(f"{spec}: a camera or stream cannot be annotated; record it to a file first")
        self.name, self.size, self.fps = source.name, source.size, source.fps
        self.indices = source.cut.indices(source.frames * source.cut.stride + source.cut.start)
        source.close()
        self._kept: OrderedDict[int, Frame] = OrderedDict()
        self._reading: Iterator[Frame] | None = None
        self._next: int | None = None
        width, height = self.size
        self._most = max(2 * BEFORE, KEPT_BYTES // (3 * width * height))

    def frame(self, index: int) -> Frame:
        """A frame. Raises SourceError where the clip has none of that index, or it cannot be decoded."""
        if index not in self.indices:
            raise SourceError(f"{self.name}: there is no frame {index}; it has {self.indices[0]} to {self.indices[-1]}")
        if index not in self._kept:
            self._read_up_to(index)
        if index not in self._kept:
            raise SourceError(f"{self.name}: frame {index} cannot be decoded")
        self._kept.move_to_end(index)
        return self._kept[index]

    def close(self) -> None:
        self._stop_reading()
        self._kept.clear()

    def _read_up_to(self, index: int) -> None:
        """Decode on to a frame, or from some frames before it where it lies before or far beyond the last one."""
        place = self.indices.index(index)
        if self._reading is None or self._next is None or not 0 <= place - self._next <= BEFORE:
            self._stop_reading()
            backwards = self.indices[min(place + 1, len(self.indices) - 1)] in self._kept
            self._next = max(0, place - BEFORE + 1) if backwards else place
            self._reading = iter(open_source(self._spec, **{**self._cut, "start": self.indices[self._next]}))
        for frame in self._reading:
            self._keep(frame)
            self._next = self.indices.index(frame.index) + 1
            if frame.index >= index:
                return
        self._reading = None

    def _keep(self, frame: Frame) -> None:
        self._kept[frame.index] = frame
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def _stop_reading(self) -> None:
        close = getattr(self._reading, "close", None)
        if close is not None:
            close()
        self._reading = None
