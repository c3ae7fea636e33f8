"""ROS 2 images as RGB, by their encoding (sensor_msgs/image_encodings.hpp, and image_transport for compressed ones)."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from masklet.runtime.errors import SourceError
from masklet.runtime.sources.bags.topic import COMPRESSED
from masklet.runtime.sources.source import U8


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoding of sensor_msgs/Image.

    channels: values per pixel. bits: of each value. to_rgb: OpenCV's conversion; None if it is RGB.
    chroma:   whether rows of half as many colours follow those of the brightness, as in 4:2:0.
    """

    channels: int
    bits: int
    to_rgb: int | None
    chroma: bool = False

    def divides(self, width: int, height: int) -> bool:
        """Whether the pixels that share a colour, two in a row or two by two, fill the image."""
        shares = self.chroma or self.channels == 2
        return not ((shares and width % 2) or (self.chroma and height % 2))


# OpenCV names a Bayer pattern by its second row: ROS's rggb is OpenCV's BG.
ENCODINGS = {
    "rgb8": Encoding(3, 8, None),
    "bgr8": Encoding(3, 8, cv2.COLOR_BGR2RGB),
    "8UC3": Encoding(3, 8, cv2.COLOR_BGR2RGB),
    "rgba8": Encoding(4, 8, cv2.COLOR_RGBA2RGB),
    "bgra8": Encoding(4, 8, cv2.COLOR_BGRA2RGB),
    "8UC4": Encoding(4, 8, cv2.COLOR_BGRA2RGB),
    "mono8": Encoding(1, 8, cv2.COLOR_GRAY2RGB),
    "8UC1": Encoding(1, 8, cv2.COLOR_GRAY2RGB),
    "mono16": Encoding(1, 16, cv2.COLOR_GRAY2RGB),
    "rgb16": Encoding(3, 16, None),
    "bgr16": Encoding(3, 16, cv2.COLOR_BGR2RGB),
    "rgba16": Encoding(4, 16, cv2.COLOR_RGBA2RGB),
    "bgra16": Encoding(4, 16, cv2.COLOR_BGRA2RGB),
    "yuv422": Encoding(2, 8, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": Encoding(2, 8, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": Encoding(2, 8, cv2.COLOR_YUV2RGB_YUYV),
    "yuyv": Encoding(2, 8, cv2.COLOR_YUV2RGB_YUYV),
    "nv12": Encoding(1, 8, cv2.COLOR_YUV2RGB_NV12, chroma=True),
    "nv21": Encoding(1, 8, cv2.COLOR_YUV2RGB_NV21, chroma=True),
    **{f"bayer_rggb{bits}": Encoding(1, bits, cv2.COLOR_BayerBG2RGB) for bits in (8, 16)},
    **{f"bayer_bggr{bits}": Encoding(1, bits, cv2.COLOR_BayerRG2RGB) for bits in (8, 16)},
    **{f"bayer_gbrg{bits}": Encoding(1, bits, cv2.COLOR_BayerGR2RGB) for bits in (8, 16)},
    **{f"bayer_grbg{bits}": Encoding(1, bits, cv2.COLOR_BayerGB2RGB) for bits in (8, 16)},
}


@cache
def types() -> Any:
    """The types of ROS 2. sensor_msgs' images are the same in all its releases so far."""
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_HUMBLE)


def rgb_of(name: str, data: bytes, message_type: str) -> U8 | None:
    """A serialized message as [H, W, 3] uint8 RGB; None if it is damaged. Of 16 bits the upper 8 are kept.

    Raises SourceError for an unknown encoding.
    """
    try:
        message = types().deserialize_cdr(data, message_type)
    except Exception:  # rosbags generates its readers; they raise whatever a damaged message leads to
        return None
    return _decompressed(message.data) if message_type == COMPRESSED else raw_rgb(name, message)


def raw_rgb(name: str, message: Any) -> U8 | None:
    """A sensor_msgs/Image as RGB; None if it has fewer bytes than it states, or no such size. Raises SourceError."""
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        known = ", ".join(ENCODINGS)
        raise SourceError(f"{name}: unknown image encoding {message.encoding!r}; expected one of {known}")
    row = message.width * encoding.channels * encoding.bits // 8
    height = message.height + (message.height // 2 if encoding.chroma else 0)
    size = message.step * height
    if height * message.width == 0 or message.step < row or len(message.data) < size:
        return None
    if not encoding.divides(message.width, message.height):
        return None
    rows = np.asarray(message.data, np.uint8)[:size].reshape(height, message.step)
    pixels = np.ascontiguousarray(rows[:, :row])
    if encoding.bits == 16:
        upper = 0 if message.is_bigendian else 1
        pixels = np.ascontiguousarray(pixels[:, upper::2])
    image = pixels.reshape(height, message.width, encoding.channels)
    return image if encoding.to_rgb is None else np.asarray(cv2.cvtColor(image, encoding.to_rgb), np.uint8)


def _decompressed(data: Any) -> U8 | None:
    """A JPEG or PNG; its format is read from its own first bytes, since drivers write `format` in many ways."""
    encoded = np.frombuffer(bytes(data), np.uint8)
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) if encoded.size else None
    return None if image is None else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
