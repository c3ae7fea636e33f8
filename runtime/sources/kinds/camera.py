"""0, /dev/video0: a V4L2 camera."""

from pathlib import Path
from typing import TYPE_CHECKING

from masklet.runtime.sources.kind import SourceKind
from masklet.runtime.sources.reader import GSTREAMER, OPENCV, READER, read_by

if TYPE_CHECKING:
    from masklet.runtime.sources.source import Cut, FeedOptions, Source


def is_camera(spec: str) -> bool:
    """Whether a SOURCE is a camera's number or device file."""
    return (spec.isascii() and spec.isdecimal()) or spec.startswith("/dev/video")


def open_v4l2(spec: str, cut: "Cut", options: "FeedOptions") -> "Source":
    """A camera by its number or its device file."""
    from masklet.runtime.sources import camera
    from masklet.runtime.sources.gst import feeds

    path = f"/dev/video{int(spec)}" if spec.isdecimal() else spec
    camera.check_device(Path(path))
    readers = {
        GSTREAMER: lambda: feeds.open_v4l2(path, cut, options),
        OPENCV: lambda: camera.open_camera(path, cut, options),
    }
    return read_by(path, options, readers)


SOURCE = SourceKind("0, /dev/video0", is_camera, open_v4l2, options=(READER,), order=60)
