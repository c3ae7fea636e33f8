"""Boxes and labels as foxglove_msgs/ImageAnnotations, which Foxglove and Lichtblick draw over the camera's image."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from masklet.runtime.pixels.overlay import colour
from masklet.runtime.results import FrameResult

ANNOTATIONS = "foxglove_msgs/msg/ImageAnnotations"
DEFINITIONS: Mapping[str, str] = {
    "foxglove_msgs/msg/Point2": "float64 x\nfloat64 y",
    "foxglove_msgs/msg/Color": "float64 r\nfloat64 g\nfloat64 b\nfloat64 a",
    "foxglove_msgs/msg/CircleAnnotation": (
        "builtin_interfaces/Time timestamp\nfoxglove_msgs/Point2 position\nfloat64 diameter\nfloat64 thickness\n"
        "foxglove_msgs/Color fill_color\nfoxglove_msgs/Color outline_color"
    ),
    "foxglove_msgs/msg/PointsAnnotation": (
        "uint8 UNKNOWN=0\nuint8 POINTS=1\nuint8 LINE_LOOP=2\nuint8 LINE_STRIP=3\nuint8 LINE_LIST=4\n"
        "builtin_interfaces/Time timestamp\nuint8 type\nfoxglove_msgs/Point2[] points\n"
        "foxglove_msgs/Color outline_color\nfoxglove_msgs/Color[] outline_colors\nfoxglove_msgs/Color fill_color\n"
        "float64 thickness"
    ),
    "foxglove_msgs/msg/TextAnnotation": (
        "builtin_interfaces/Time timestamp\nfoxglove_msgs/Point2 position\nstring text\nfloat64 font_size\n"
        "foxglove_msgs/Color text_color\nfoxglove_msgs/Color background_color"
    ),
    ANNOTATIONS: (
        "foxglove_msgs/CircleAnnotation[] circles\nfoxglove_msgs/PointsAnnotation[] points\n"
        "foxglove_msgs/TextAnnotation[] texts"
    ),
}
_LINE_LOOP = 2


def annotations_message(result: FrameResult, stamp: Any, known: Mapping[str, Any]) -> Any:
    """The visible objects: a box each, and above it its id, its phrase if it has one, and its score.

    stamp: a builtin_interfaces/Time. known: the types of ROS 2, with DEFINITIONS among them.
    """
    point, shade = known["foxglove_msgs/msg/Point2"], known["foxglove_msgs/msg/Color"]
    clear = shade(r=0.0, g=0.0, b=0.0, a=0.0)
    points, texts = [], []
    for row in np.flatnonzero(result.boxes_xyxy[:, 2] > result.boxes_xyxy[:, 0]).tolist():
        x0, y0, x1, y1 = result.boxes_xyxy[row].tolist()
        object_id = int(result.object_ids[row])
        red, green, blue = (part / 255 for part in colour(object_id))
        ink = shade(r=red, g=green, b=blue, a=1.0)
        corners = [point(x=x, y=y) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
        box = known["foxglove_msgs/msg/PointsAnnotation"]
        points.append(box(stamp, _LINE_LOOP, corners, ink, [], clear, 2.0))
        phrase = result.findings[row].phrase if result.findings else None
        words = " ".join(str(part) for part in (object_id, phrase, f"{result.scores[row]:.2f}") if part is not None)
        label = known["foxglove_msgs/msg/TextAnnotation"]
        texts.append(label(stamp, corners[0], words, 14.0, ink, clear))
    return known[ANNOTATIONS](circles=[], points=points, texts=texts)
