"""Clips and images whose frames carry their number as eight black and white stripes, which survive compression."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from masklet.runtime.sources.source import Source

U8 = npt.NDArray[np.uint8]
H264 = {"preset": "ultrafast", "bf": "2"}


def striped(number: int, width: int = 64, height: int = 48) -> U8:
    bits = np.array([255 * (number >> bit & 1) for bit in range(8)], np.uint8)
    row = np.repeat(bits, -(-width // 8))[:width]
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))


def number(image: U8) -> int:
    """The number that the stripes show; the first bit is the leftmost."""
    stripes = np.array_split(image.mean(axis=(0, 2)), 8)
    return sum(1 << bit for bit, stripe in enumerate(stripes) if np.median(stripe) > 127)


def write_video(
    path: Path,
    count: int = 30,
    *,
    codec: str = "libx264",
    gop: int = 12,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    times: list[int] | None = None,
    size: tuple[int, int] = (64, 48),
) -> Path:
    """times: presentation times in 1/600 s; 25 frames/s without."""
    with av.open(path, "w", options=container or {}) as output:
        stream: Any = output.add_stream(codec, rate=Fraction(25))
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = gop
        stream.options = H264 if options is None and codec == "libx264" else options or {}
        if times:
            stream.codec_context.time_base = Fraction(1, 600)
        for n in range(count):
            frame = av.VideoFrame.from_ndarray(striped(n, *size), format="rgb24")
            if times:
                frame.pts, frame.time_base = times[n], Fraction(1, 600)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def seen(source: Source) -> list[tuple[int, int]]:
    """Index and shown number of every frame."""
    with source:
        return [(frame.index, number(frame.image)) for frame in source]


def right(*indices: int) -> list[tuple[int, int]]:
    return [(i, i) for i in indices]
