"""Bags for tests, written by rosbags and by MCAP's own library."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from mcap.writer import CompressionType, Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as FolderWriter
from rosbags.typesys import Stores, get_typestore

U8 = npt.NDArray[np.uint8]
STORE = get_typestore(Stores.ROS2_HUMBLE)
IMAGE, COMPRESSED, TEXT = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "std_msgs/msg/String"
BEGIN_NS = 1_700_000_000_123_456_789


@dataclass(frozen=True)
class Note:
    """A message: its topic, type and time in nanoseconds, and the message."""

    topic: str
    type: str
    time_ns: int
    message: Any

    @property
    def data(self) -> bytes:
        return bytes(STORE.serialize_cdr(self.message, self.type))


def head(time_ns: int) -> Any:
    stamp = STORE.types["builtin_interfaces/msg/Time"](sec=time_ns // 10**9, nanosec=time_ns % 10**9)
    return STORE.types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera")


def raw(
    array: npt.NDArray[Any], encoding: str, time_ns: int, topic: str = "/camera/image_raw", padding: int = 0
) -> Note:
    """An [H, W(, C)] array as sensor_msgs/Image; each row is followed by some bytes."""
    height, width = array.shape[:2]
    rows = np.ascontiguousarray(array).view(np.uint8).reshape(height, -1)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    big = int(array.dtype.byteorder == ">")
    message = STORE.types[IMAGE](head(time_ns), height, width, encoding, big, padded.shape[1], padded.ravel())
    return Note("/camera/image_raw", IMAGE, time_ns, message)


def compressed(image: U8, suffix: str, time_ns: int) -> Note:
    """An RGB image as sensor_msgs/CompressedImage; suffix: of the file format."""
    _, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    message = STORE.types[COMPRESSED](head(time_ns), f"bgr8; {suffix[1:]} compressed bgr8", data.ravel())
    return Note("/camera/compressed", COMPRESSED, time_ns, message)


def text(words: str, time_ns: int) -> Note:
    return Note("/talk", TEXT, time_ns, STORE.types[TEXT](words))


def write_mcap(
    path: Path, notes: Sequence[Note], *, chunked: bool = True, compression: CompressionType = CompressionType.ZSTD
) -> Path:
    """An MCAP file with the messages in the given order, in small chunks."""
    with path.open("wb") as file:
        writer = Writer(file, chunk_size=20_000, compression=compression, use_chunking=chunked)
        writer.start("ros2")
        channels: dict[str, int] = {}
        for note in notes:
            if note.topic not in channels:
                definition, _ = STORE.generate_msgdef(note.type, ros_version=2)
                schema = writer.register_schema(note.type, "ros2msg", definition.encode())
                channels[note.topic] = writer.register_channel(note.topic, "cdr", schema)
            writer.add_message(channels[note.topic], note.time_ns, note.data, note.time_ns)
        writer.finish()
    return path


def write_folder(path: Path, notes: Sequence[Note], storage: StoragePlugin) -> Path:
    """A ROS 2 bag as a folder."""
    with FolderWriter(path, version=9, storage_plugin=storage) as writer:
        connections = {}
        for note in notes:
            if note.topic not in connections:
                connections[note.topic] = writer.add_connection(note.topic, note.type, typestore=STORE)
            writer.write(connections[note.topic], note.time_ns, note.data)
    return path
