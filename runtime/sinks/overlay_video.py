"""The overlay video: frames with their objects drawn in, encoded by PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
import numpy.typing as npt
from masklet.runtime.closing import Closing
from masklet.runtime.errors import SinkError
from masklet.runtime.pixels.overlay import draw
from masklet.runtime.prompts.prompts import Schedule
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sinks.output_file import OutputFile
from masklet.runtime.sinks.prompt_marks import draw_prompts

if TYPE_CHECKING:
    from av.video.stream import VideoStream

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}  # playable even without the end of the file
HARDWARE = {"h264_nvenc": "/dev/nvidia0", "h264_v4l2m2m": "/dev/video11"}  # hardware encoders and their devices
QUALITY: dict[str, dict[str, str]] = {"mpeg4": {"q:v": "3"}, "h264_nvenc": {"preset": "p1", "cq": "23"}}
KEY_FRAME_S = 1.0  # a killed run loses at most this much, plus the frames inside the encoder


class OverlayVideo(Closing):
    """H.264 (MPEG-4 if FFmpeg has no x264) in .mp4, .m4v, .mov or .mkv.

    fps:     frames per second of the video. Odd sides grow by one pixel, as the pixel format requires.
    encoder: FFmpeg's name of a video encoder; "auto" selects a hardware encoder if there is one, otherwise x264.
    preset:  preset of x264, from "ultrafast" (least time, largest file) to "medium" (smallest file).
    prompts: by frame and object, drawn on their frames.
    Raises SinkError for another suffix, a path that cannot be written, a full disk, or frames of different sizes.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float,
        *,
        encoder: str = "auto",
        preset: str = "superfast",
        prompts: Schedule | None = None,
    ) -> None:
        self._path = Path(path)
        container_format = FORMATS.get(self._path.suffix.lower())
        if container_format is None:
            raise SinkError(f"{path}: the name of an overlay video must end in {', '.join(FORMATS)}")
        if not 0 < fps < 1e4:
            raise SinkError(f"{path}: cannot be written at {fps} frames/s")
        self._format = container_format
        self._rate = Fraction(fps).limit_denominator(1001)  # exact for 30000/1001 and the like
        self._file = OutputFile(self._path)
        self._wanted, self._preset = encoder, preset
        self._prompts = dict(prompts or {})
        self._encoder: _Encoder | None = None

    def write(self, frame: Frame, result: FrameResult) -> None:
        if self._encoder is None:
            self._encoder = _Encoder(self._file, self._format, self._rate, frame.hw, self._wanted, self._preset)
        if frame.hw != self._encoder.hw:
            sizes = [f"{width}x{height}" for height, width in (frame.hw, self._encoder.hw)]
            raise SinkError(f"{self._path}: a frame of {sizes[0]} pixels comes after frames of {sizes[1]}")
        canvas = draw(frame.image, result)
        if frame.index in self._prompts:
            draw_prompts(canvas, self._prompts.pop(frame.index))
        self._encoder.write(canvas)

    def close(self) -> None:
        """Write the frames that are still in the encoder. A video without any frame is deleted."""
        encoder, self._encoder = self._encoder, None
        try:
            if encoder is not None:
                encoder.close()
        finally:
            if encoder is not None and encoder.broken and self._format != "matroska":
                self._file.drop_after(whole_fragments(self._path))
            self._file.close()
            if not self._file.written:
                self._path.unlink(missing_ok=True)


def whole_fragments(path: Path) -> int:
    """The end of the last complete fragment of an MP4, in bytes; an incomplete one may confuse players.

    A file is a sequence of boxes, each starting with its length (ISO/IEC 14496-12, 4.2); a fragment ends with an mdat.
    """
    at = end = 0
    size = path.stat().st_size
    with path.open("rb") as file:
        while True:
            file.seek(at)
            head = file.read(8)
            length = int.from_bytes(head[:4], "big")
            at += length
            if length < 8 or at > size:
                return end
            if head[4:] in (b"moov", b"mdat"):
                end = at


def choose_encoder(wanted: str, path: Path) -> str:
    """The encoder to use: the given one, or for "auto" the first available of hardware, x264 and MPEG-4.

    Raises SinkError if this FFmpeg does not have the encoder.
    """
    import av

    if wanted != "auto":
        if wanted not in av.codecs_available:
            raise SinkError(f"{path}: this FFmpeg has no encoder {wanted}; leave out --overlay-encoder")
        return wanted
    there = [name for name, device in HARDWARE.items() if name in av.codecs_available and Path(device).exists()]
    return next((name for name in (*there, "libx264") if name in av.codecs_available), "mpeg4")


class _Encoder:
    """Encodes images of one size into a container file.

    hw:     height and width in pixels.
    broken: an error has truncated the file.
    """

    def __init__(
        self,
        file: OutputFile,
        container_format: str,
        rate: Fraction,
        hw: tuple[int, int],
        wanted: str,
        preset: str,
    ) -> None:
        import av

        self.hw = hw
        self._path = file.path
        self.broken = False
        self._container = av.open(
            file, "w", format=container_format, options={} if container_format == "matroska" else FRAGMENTED
        )
        codec = choose_encoder(wanted, self._path)
        stream = cast("VideoStream", self._container.add_stream(codec, rate=rate))
        stream.height, stream.width = (side + side % 2 for side in hw)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = max(1, round(KEY_FRAME_S * rate))
        stream.options = {"preset": preset, "crf": "20"} if codec == "libx264" else dict(QUALITY.get(codec, {}))
        self._stream = stream

    def write(self, image: npt.NDArray[np.uint8] | None) -> None:
        """Encode an image [H, W, 3] uint8 RGB, or None for the end, and write the packets that the encoder returns."""
        from av import VideoFrame
        from av.error import FFmpegError

        frame = None if image is None else VideoFrame.from_ndarray(self._even(image), format="rgb24")
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except SinkError:
            self.broken = True
            raise
        except FFmpegError as error:
            self.broken = True
            raise SinkError(f"{self._path}: cannot be encoded: {error.strerror}") from None

    def _even(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        height, width = self.hw
        if height % 2 == width % 2 == 0:
            return image
        return np.asarray(cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8)

    def close(self) -> None:
        from av.error import FFmpegError

        try:
            if not self.broken:
                self.write(None)
        finally:
            try:
                self._container.close()
            except (SinkError, FFmpegError):
                if not self.broken:  # a full disk cannot take the end of the file either
                    self.broken = True
                    raise
