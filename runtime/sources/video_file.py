"""A video file as a source of frames, forwards or backwards, by PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from masklet.runtime.errors import SourceError
from masklet.runtime.results import Frame
from masklet.runtime.sources.packets import read_packets, scan
from masklet.runtime.sources.source import U8, Cut, Source

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

DEFAULT_RATE = 30.0  # frames per second, for files without a rate
REVERSE_BYTES = 128 << 20  # maximum size of the frames held while reading backwards

_NO_VIDEO = ("tty",)  # FFmpeg decodes any text file as a drawing in characters
_UPRIGHT = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


class VideoFile(Source):
    """The first video track of a file, rotated according to its display matrix.

    Opening it reads the times of all packets, without decoding. So the number of frames is exact, a frame keeps its
    index if an earlier one is corrupt, and reading can start at any frame. A truncated file delivers the frames that it
    has; missing frames that its header announced count as corrupt.

    threads: that decode; None for FFmpeg's choice.
    """

    def __init__(self, name: str, path: Path, cut: Cut, threads: int | None = None) -> None:
        self.name = name
        self._path, self._threads = path, threads
        with self._opened() as container:
            stream = container.streams.video[0]
            rate = float(stream.average_rate or stream.guessed_rate or DEFAULT_RATE)
            self._unit_s = float(stream.time_base or 0)
            self._packets = scan(container)
            self._cut_off = max(0, stream.frames - self._packets.count - self._packets.hidden)
        self._timed = len(self._packets.times) > 0
        if cut.reverse and not self._timed:
            raise SourceError(f"{name}: cannot be read backwards, since its packets have no time; convert it to MP4")
        self._hw = self._first_hw()
        super().__init__(name, cut, self._hw, rate, self._packets.count)

    def __iter__(self) -> Iterator[Frame]:
        self.corrupt = 0
        wanted = self.cut.indices(self._packets.count)
        done = 0
        for index, image in self._backwards(wanted) if self.cut.reverse else self._forwards(wanted):
            place = wanted.index(index)
            self.corrupt += place - done
            done = place + 1
            yield Frame(index, self._time_s(index), image)
        self.corrupt += len(wanted) - done + (self._cut_off if self.cut.end is None else 0)
        if not done:
            raise SourceError(f"{self.name}: none of {self.range} can be decoded")

    def _time_s(self, index: int) -> float:
        """Seconds since the first frame of the file."""
        if not self._timed:
            return index / (self.fps * self.cut.stride)
        times = self._packets.times
        return int(times[index] - times[0]) * self._unit_s

    def _forwards(self, wanted: range) -> Iterator[tuple[int, U8]]:
        for index, frame in self._decode(wanted[0]):
            if index in wanted:
                yield index, self.cut.shrink(self._image(index, frame))
            if index >= wanted[-1]:
                return

    def _backwards(self, wanted: range) -> Iterator[tuple[int, U8]]:
        """Decode runs of frames, the last run first, and reverse each; decoders can only go forwards."""
        height, width = self.cut.delivered_hw(self._hw)
        run = max(1, REVERSE_BYTES // (height * width * 3))
        for first in range(0, len(wanted), run):
            yield from reversed(list(self._forwards(wanted[first : first + run][::-1])))

    def _decode(self, first: int) -> Iterator[tuple[int, VideoFrame]]:
        """Index and frame of every decodable frame, in order of time, from frame `first` on."""
        from av.error import FFmpegError

        last = -1
        with self._opened() as container:
            target = self._packets.seek_target(first)
            if target is not None:
                with suppress(FFmpegError):  # without an index to seek, it reads from the start
                    container.seek(target, stream=container.streams.video[0])
            for frame in _frames(container, self._threads):
                index = self._packets.index(frame.pts, last)
                if index > last and index >= first:
                    yield index, frame
                last = max(last, index)

    def _image(self, index: int, frame: VideoFrame) -> U8:
        image = _upright(frame)
        if image.shape[:2] != self._hw:
            height, width = self._hw
            raise SourceError(
                f"{self.name}: frame {index} is {image.shape[1]}x{image.shape[0]} after frames of {width}x{height}; "
                f"a video must keep its size"
            )
        return image

    def _first_hw(self) -> tuple[int, int]:
        for _, frame in self._decode(0):
            height, width, _ = _upright(frame).shape
            return height, width
        raise SourceError(f"{self.name}: no frame can be decoded; the file is damaged or truncated")

    @contextmanager
    def _opened(self) -> Iterator[InputContainer]:
        """The open file. Only the protocol `file` is allowed, so that a playlist cannot access the network."""
        import av

        try:
            container = av.open(f"file:{self._path}", options={"protocol_whitelist": "file"}, metadata_errors="replace")
        except PermissionError:
            raise SourceError(f"{self.name}: permission denied") from None
        except av.error.FFmpegError as error:
            raise SourceError(
                f"{self.name}: cannot be read as a video: {error.strerror}; it is damaged, truncated or not a video"
            ) from None
        with container:
            if not container.streams.video or container.format.name in _NO_VIDEO:
                raise SourceError(f"{self.name}: contains no video; give a video, an image or a folder of images")
            if container.streams.video[0].codec_context is None:
                raise SourceError(f"{self.name}: FFmpeg has no decoder for its video; convert it to H.264")
            yield container


def _frames(container: InputContainer, threads: int | None) -> Iterator[VideoFrame]:
    """All decodable frames, to the end or to where the file is truncated."""
    from av.error import FFmpegError

    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    if threads is not None:
        stream.codec_context.thread_count = threads
    for packet in chain(read_packets(container), (None,)):  # None flushes the decoder
        try:
            frames = stream.codec_context.decode(packet)
        except FFmpegError:
            continue
        yield from (frame for frame in frames if not frame.is_corrupt)


def _upright(frame: VideoFrame) -> U8:
    """A decoded frame as [H, W, 3] uint8 RGB, rotated by its display matrix."""
    image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    turn = _UPRIGHT.get(round(frame.rotation) % 360)  # PyAV counts degrees counterclockwise
    return image if turn is None else np.asarray(cv2.rotate(image, turn), np.uint8)
