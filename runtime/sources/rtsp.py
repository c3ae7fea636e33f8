"""RTSP streams over TCP, read by PyAV."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from masklet.runtime.errors import SourceError
from masklet.runtime.sources.live import LiveSource, LostError, Picture
from masklet.runtime.sources.source import Cut, FeedOptions

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.error import FFmpegError

TIMEOUT_S = 5.0  # for connecting, and for each packet
DEFAULT_RATE = 30.0
_DELAY = {"fflags": "nobuffer", "flags": "low_delay"}  # frames that FFmpeg buffers would be late


def open_rtsp(url: str, name: str, cut: Cut, options: FeedOptions, timeout_s: float = TIMEOUT_S) -> LiveSource:
    """Connect to an RTSP server. name: the address without its password. Raises SourceError."""
    if options.asks_format:
        raise SourceError(f"{name}: an RTSP server decides size, rate and format; --max-side shrinks its frames")
    return LiveSource(name, lambda: RtspStream(url, name, timeout_s), cut)


class RtspStream:
    """One connection, over TCP: a lost UDP packet would damage the picture up to the next key frame."""

    def __init__(self, url: str, name: str, timeout_s: float) -> None:
        import av

        self._name, self._timeout_s = name, timeout_s
        began_s = time.monotonic()
        try:
            self._container: InputContainer = av.open(
                url, options={"rtsp_transport": "tcp", **_DELAY}, timeout=(timeout_s, timeout_s)
            )
        except av.error.FFmpegError as error:
            silent = time.monotonic() - began_s >= timeout_s  # FFmpeg reports a missing answer as invalid data
            raise self._silent() if silent else self._refused(error) from None
        if not self._container.streams.video:
            self._container.close()
            raise SourceError(f"{name}: the server sends no video")
        stream = self._container.streams.video[0]
        self.about = f"PyAV, decoding {stream.codec_context.name} by FFmpeg"
        stream.thread_type = "SLICE"  # frame threads would delay frames by their number
        self.rate = float(stream.average_rate or stream.guessed_rate or DEFAULT_RATE)
        self._pictures = self._decoded()

    def read(self) -> Picture | None:
        return next(self._pictures)

    def close(self) -> None:
        self._pictures.close()  # it holds this object and thereby the decoder, whose threads end when it is released
        self._container.close()

    def _decoded(self) -> Generator[Picture | None, None, None]:
        from av.error import FFmpegError

        stream = self._container.streams.video[0]
        packets = self._container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                raise self._lost(error) from None
            if packet is None or not packet.size:
                raise LostError(f"{self._name}: the server ended the stream")
            frames = None
            with suppress(FFmpegError):
                frames = stream.codec_context.decode(packet)
            if frames is None:
                yield None
            for frame in frames or ():
                if frame.is_corrupt:
                    yield None
                else:
                    image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                    yield Picture(image, None if frame.pts is None else float(frame.time or 0))

    def _refused(self, error: FFmpegError) -> SourceError:
        from av import error as kinds

        if isinstance(error, (kinds.HTTPUnauthorizedError, kinds.HTTPForbiddenError)):
            return SourceError(f"{self._name}: the server refuses user or password; give rtsp://USER:PASSWORD@HOST")
        if isinstance(error, kinds.HTTPNotFoundError):
            return SourceError(f"{self._name}: the server has no such stream; check the path")
        return self._lost(error)

    def _lost(self, error: FFmpegError) -> LostError:
        from av.error import ExitError, TimeoutError

        if isinstance(error, (ExitError, TimeoutError)):
            return self._silent()
        return LostError(f"{self._name}: {error.strerror}")

    def _silent(self) -> LostError:
        return LostError(f"{self._name}: nothing came for {self._timeout_s:g} s")
