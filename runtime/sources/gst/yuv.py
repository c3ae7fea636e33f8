"""YUV frames of GStreamer as RGB, by FFmpeg's converter.

It is the one that reads video files, so a stream and a file of the same pictures give the same pixels; and it is
faster than GStreamer's `videoconvert`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from masklet.runtime.sources.source import U8


@dataclass(frozen=True, slots=True)
class Plane:
    """One plane: bytes per group of pixels, and how many pixels a group spans."""

    size: int
    across: int = 1
    down: int = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """FFmpeg's name of a format, and its planes."""

    ffmpeg: str
    planes: tuple[Plane, ...]


LAYOUTS: Mapping[str, Layout] = {
    "I420": Layout("yuv420p", (Plane(1), Plane(1, 2, 2), Plane(1, 2, 2))),
    "NV12": Layout("nv12", (Plane(1), Plane(2, 2, 2))),
    "YUY2": Layout("yuyv422", (Plane(4, 2),)),
    "UYVY": Layout("uyvy422", (Plane(4, 2),)),
}
# FFmpeg's numbers (AVColorSpace) by the matrices of GstVideoColorimetry: names of common ones, and its own numbers.
_MATRICES = {"bt709": 1, "3": 1, "bt601": 6, "4": 6, "smpte240m": 7, "5": 7, "bt2020": 9, "bt2020-10": 9, "6": 9}
_FULL, _LIMITED = 2, 1  # AVColorRange


def rgb_of(data: bytes, layout: str, width: int, height: int, colorimetry: str) -> U8:
    """A frame in GStreamer's default layout as [H, W, 3] uint8 RGB.

    colorimetry: as caps state it, "bt709" or "RANGE:MATRIX:TRANSFER:PRIMARIES"; "" if it is not known.
    """
    from av import VideoFrame

    known = LAYOUTS[layout]
    frame = VideoFrame(width, height, known.ffmpeg)
    raw, offset = np.frombuffer(data, np.uint8), 0
    for plane, into in zip(known.planes, frame.planes, strict=True):
        row = -(-width // plane.across) * plane.size
        stride, rows = -(-row // 4) * 4, -(-height // plane.down)
        place = np.frombuffer(memoryview(into), np.uint8).reshape(-1, into.line_size)
        place[:rows, :row] = raw[offset : offset + stride * rows].reshape(rows, stride)[:, :row]
        offset += stride * (rows if len(known.planes) == 1 else -(-height // 2) * 2 // plane.down)
    parts = colorimetry.split(":")
    if len(parts) == 4:
        frame.color_range = _FULL if parts[0] == "1" else _LIMITED
    matrix = _MATRICES.get(parts[1] if len(parts) == 4 else colorimetry)
    if matrix is not None:
        frame.colorspace = matrix
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
