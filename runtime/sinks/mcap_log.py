"""The objects of a run as an MCAP file, for ROS 2's and Foxglove's tools, at the times of the source."""

import json
from pathlib import Path
from typing import Any

from masklet.runtime.closing import Closing
from masklet.runtime.errors import SinkError
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sinks.foxglove_messages import ANNOTATIONS, annotations_message
from masklet.runtime.sinks.json_lines import frame_record
from masklet.runtime.sinks.output_file import OutputFile
from masklet.runtime.sinks.ros_messages import DETECTIONS, TEXT, detections_message, header, ids_message, ros_types
from masklet.runtime.sources.bags.topic import IMAGE

CHUNK_BYTES = 256 * 1024  # what a killed run loses at most
IDS, BOXES, DRAWN, OBJECTS = "/masklet/ids", "/masklet/detections", "/masklet/annotations", "/masklet/objects"


class McapLog(Closing):
    """Four messages a frame, with the frame's time:

    /masklet/ids          sensor_msgs/Image, mono16: the id of the object at each pixel.
    /masklet/detections   vision_msgs/Detection2DArray: id, score and box of each visible object.
    /masklet/annotations  foxglove_msgs/ImageAnnotations: boxes and labels for viewers.
    /masklet/objects      std_msgs/String: the line of `--masks`, with every mask whole, where others overlap it, too.

    began_ns: time of the day at time 0 of the source, in nanoseconds since 1970. frame_id: for the headers.
    Raises SinkError.
    """

    def __init__(self, path: Path, began_ns: int, frame_id: str) -> None:
        try:
            from mcap.writer import Writer

            store = ros_types()
        except ImportError:
            raise SinkError("MCAP files need rosbags and mcap; pip install 'masklet[bags]'") from None
        self._store, self._began_ns, self._frame_id = store, began_ns, frame_id
        self._file = OutputFile(path)
        self._writer: Any = Writer(self._file, chunk_size=CHUNK_BYTES)
        self._writer.start(profile="ros2", library="masklet")
        self._channels = {
            IDS: self._channel(IDS, IMAGE),
            BOXES: self._channel(BOXES, DETECTIONS),
            DRAWN: self._channel(DRAWN, ANNOTATIONS),
            OBJECTS: self._channel(OBJECTS, TEXT),
        }

    def write(self, frame: Frame, result: FrameResult) -> None:
        self.add(result)

    def add(self, result: FrameResult) -> None:
        """Write the messages of a frame, whose image is not needed."""
        time_ns = self._began_ns + round(result.time_s * 1e9)
        head, known = header(time_ns, self._frame_id), self._store.types
        self._log(IDS, time_ns, ids_message(result, head), IMAGE)
        self._log(BOXES, time_ns, detections_message(result, head, known), DETECTIONS)
        self._log(DRAWN, time_ns, annotations_message(result, head.stamp, known), ANNOTATIONS)
        self._log(OBJECTS, time_ns, known[TEXT](data=json.dumps(frame_record(result))), TEXT)

    def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.finish()
            finally:
                self._file.close()

    def _channel(self, topic: str, message_type: str) -> int:
        definition, _ = self._store.generate_msgdef(message_type, ros_version=2)
        schema = self._writer.register_schema(message_type, "ros2msg", definition.encode())
        return int(self._writer.register_channel(topic, "cdr", schema))

    def _log(self, topic: str, time_ns: int, message: Any, message_type: str) -> None:
        data = bytes(self._store.serialize_cdr(message, message_type))
        self._writer.add_message(self._channels[topic], log_time=time_ns, data=data, publish_time=time_ns)
