"""Frames of an appsink as pictures."""

from typing import Any

import cv2
import numpy as np
from masklet.runtime.errors import SourceError
from masklet.runtime.sources.gst.yuv import LAYOUTS, rgb_of
from masklet.runtime.sources.live import Picture
from masklet.runtime.sources.source import U8

# GStreamer's format -> bytes per pixel, OpenCV's conversion to RGB
_PACKED: dict[str, tuple[int, int | None]] = {
    "RGB": (3, None),
    "BGR": (3, cv2.COLOR_BGR2RGB),
    "RGBA": (4, cv2.COLOR_RGBA2RGB),
    "RGBx": (4, cv2.COLOR_RGBA2RGB),
    "BGRA": (4, cv2.COLOR_BGRA2RGB),
    "BGRx": (4, cv2.COLOR_BGRA2RGB),
    "GRAY8": (1, cv2.COLOR_GRAY2RGB),
}


def rate_of(caps: Any) -> float | None:
    """Frames per second that caps state; None if they state none."""
    known, numerator, denominator = caps.get_structure(0).get_fraction("framerate")
    return numerator / denominator if known and numerator and denominator else None


def picture_of(gst: Any, name: str, sample: Any) -> Picture | None:
    """A sample as a picture, whose time is the buffer's; None if the decoder marked it as corrupt.

    Raises SourceError for a format that is not known.
    """
    buffer, what = sample.get_buffer(), sample.get_caps().get_structure(0)
    layout, kind = what.get_string("format") or "", what.get_name()
    if kind != "video/x-raw" or layout not in (*_PACKED, *LAYOUTS):
        raise SourceError(
            f"{name}: its appsink gets {layout or kind}; put videoconvert ! video/x-raw,format=RGB before it"
        )
    if buffer.has_flags(gst.BufferFlags.CORRUPTED):
        return None
    data, width, height = _bytes(gst, buffer), what.get_value("width"), what.get_value("height")
    if layout in LAYOUTS:
        image = rgb_of(data, layout, width, height, what.get_string("colorimetry") or "")
    else:
        image = _unpacked(data, layout, width, height)
    return Picture(image, None if buffer.pts == gst.CLOCK_TIME_NONE else buffer.pts / gst.SECOND)


def _unpacked(data: bytes, layout: str, width: int, height: int) -> U8:
    depth, conversion = _PACKED[layout]
    row = -(-width * depth // 4) * 4  # GStreamer pads rows to four bytes
    pixels = np.frombuffer(data, np.uint8)[: row * height].reshape(height, row)
    image = np.ascontiguousarray(pixels[:, : width * depth]).reshape(height, width, depth)
    return image if conversion is None else np.asarray(cv2.cvtColor(image, conversion), np.uint8)


def _bytes(gst: Any, buffer: Any) -> bytes:
    """The one copy of a frame's bytes; python3-gst's additions to gi give a view instead of a copy."""
    mapped, info = buffer.map(gst.MapFlags.READ)
    if not mapped:
        raise SourceError("GStreamer does not give access to a frame's memory; end the pipeline with videoconvert")
    try:
        return bytes(info.data)  # no second copy where it is a copy already
    finally:
        buffer.unmap(info)
