"""The ROS 2 messages of a frame's objects: an image of ids, and boxes as vision_msgs."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from masklet.runtime.pixels.id_image import id_image
from masklet.runtime.results import FrameResult
from masklet.runtime.sinks.foxglove_messages import DEFINITIONS
from masklet.runtime.sources.bags.images import types
from masklet.runtime.sources.bags.topic import IMAGE

TEXT = "std_msgs/msg/String"
DETECTIONS = "vision_msgs/msg/Detection2DArray"
# vision_msgs 4 (Humble to Jazzy); what they use of other packages is known already.
_VISION_MSGS = {
    "vision_msgs/msg/Point2D": "float64 x\nfloat64 y",
    "vision_msgs/msg/Pose2D": "vision_msgs/Point2D position\nfloat64 theta",
    "vision_msgs/msg/BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y",
    "vision_msgs/msg/ObjectHypothesis": "string class_id\nfloat64 score",
    "vision_msgs/msg/ObjectHypothesisWithPose": (
        "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose"
    ),
    "vision_msgs/msg/Detection2D": (
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
        "vision_msgs/BoundingBox2D bbox\nstring id"
    ),
    DETECTIONS: "std_msgs/Header header\nvision_msgs/Detection2D[] detections",
}


@cache
def ros_types() -> Any:
    """The types of ROS 2, with those of vision_msgs and foxglove_msgs."""
    from rosbags.typesys import get_types_from_msg

    store = types()
    for name, definition in {**_VISION_MSGS, **DEFINITIONS}.items():
        store.register(get_types_from_msg(definition, name))
    return store


def header(time_ns: int, frame_id: str) -> Any:
    """A std_msgs/Header."""
    known = ros_types().types
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    stamp = known["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
    return known["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)


def ids_message(result: FrameResult, head: Any) -> Any:
    """A sensor_msgs/Image, mono16: the id of the object at each pixel, 0 where there is none."""
    ids = id_image(result).astype("<u2")
    height, width = ids.shape
    return ros_types().types[IMAGE](
        header=head,
        height=height,
        width=width,
        encoding="mono16",
        is_bigendian=0,
        step=2 * width,
        data=ids.view(np.uint8).ravel(),
    )


def detections_message(result: FrameResult, head: Any, known: Mapping[str, Any]) -> Any:
    """A Detection2DArray of the visible objects: id, score, box; class_id is the phrase, or "object".

    known: classes of messages by type, as `ros_types().types` or those of ROS 2 itself.
    """
    seen = np.flatnonzero(result.boxes_xyxy[:, 2] > result.boxes_xyxy[:, 0]).tolist()
    return known[DETECTIONS](header=head, detections=[_detection(result, row, head, known) for row in seen])


def _detection(result: FrameResult, row: int, head: Any, known: Mapping[str, Any]) -> Any:
    x0, y0, x1, y1 = result.boxes_xyxy[row].tolist()
    middle = known["vision_msgs/msg/Point2D"](x=(x0 + x1) / 2, y=(y0 + y1) / 2)
    center = known["vision_msgs/msg/Pose2D"](position=middle, theta=0.0)
    name = (result.findings[row].phrase if result.findings else None) or "object"
    hypothesis = known["vision_msgs/msg/ObjectHypothesis"](class_id=name, score=float(result.scores[row]))
    return known["vision_msgs/msg/Detection2D"](
        header=head,
        results=[known["vision_msgs/msg/ObjectHypothesisWithPose"](hypothesis=hypothesis, pose=_no_pose(known))],
        bbox=known["vision_msgs/msg/BoundingBox2D"](center=center, size_x=x1 - x0, size_y=y1 - y0),
        id=str(int(result.object_ids[row])),
    )


def _no_pose(known: Mapping[str, Any]) -> Any:
    position = known["geometry_msgs/msg/Point"](x=0.0, y=0.0, z=0.0)
    orientation = known["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0)
    pose = known["geometry_msgs/msg/Pose"](position=position, orientation=orientation)
    return known["geometry_msgs/msg/PoseWithCovariance"](pose=pose, covariance=np.zeros(36))
