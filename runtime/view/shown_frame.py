"""A frame as viewers get it: its picture as JPEG, its objects as JSON, each made once for all of them."""

from dataclasses import dataclass, field
from typing import Any

import cv2
import msgspec
import numpy as np
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sinks.json_lines import object_records

QUALITY = 80  # of the JPEG
SIDES = (64, 4096)  # what a viewer may ask for as the longer side of its picture, in pixels


@dataclass(frozen=True, slots=True, eq=False)
class ShownFrame:
    """The newest frame of a stream. count: of the frames that it has shown, from 1; at_s: when it was written."""

    stream: int
    count: int
    at_s: float
    frame: Frame
    result: FrameResult
    _made: dict[int, bytes] = field(default_factory=dict)
    _records: list[dict[str, Any]] = field(default_factory=list)

    def records(self) -> list[dict[str, Any]]:
        """The objects as `masks.jsonl` has them."""
        if not self._records and len(self.result):
            self._records.extend(object_records(self.result))
        return self._records

    def line(self) -> dict[str, Any]:
        """The result as JSON: a line of `masks.jsonl`, with the stream, and the frame's height and width."""
        height, width = self.frame.hw
        return {
            "stream": self.stream,
            "count": self.count,
            "frame": self.frame.index,
            "time_s": round(self.frame.time_s, 6),
            "size": [height, width],
            "objects": self.records(),
        }

    def message(self, side: int) -> bytes:
        """What a viewer is sent, as `pack_message` has it.

        side: longer side of the picture in pixels; 0 for none. Called by one thread at a time.
        """
        if side not in self._made:
            self._made[side] = pack_message(self.line(), self.jpeg(side) if side else b"")
        return self._made[side]

    def jpeg(self, side: int) -> bytes:
        """The picture, shrunk to a longer side, never enlarged."""
        return encode_jpeg(shrunk(self.frame.image, side))


def pack_message(line: dict[str, Any], jpeg: bytes) -> bytes:
    """Four bytes with the length of the JSON, little end first, the JSON, and the JPEG."""
    head = msgspec.json.encode(line)
    return len(head).to_bytes(4, "little") + head + jpeg


def shrunk(image: "np.ndarray[Any, np.dtype[np.uint8]]", side: int) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """An image [H, W, 3] uint8 whose longer side is at most `side` pixels."""
    height, width = image.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return image
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def encode_jpeg(image: "np.ndarray[Any, np.dtype[np.uint8]]") -> bytes:
    """An image [H, W, 3] uint8 RGB as JPEG."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return encoded.tobytes()
