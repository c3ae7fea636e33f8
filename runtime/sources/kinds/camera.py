"""0, /dev/video0: a V4L2 camera."""

from typing import TYPE_CHECKING

from masklet.runtime.sources.kind import SourceKind

if TYPE_CHECKING:
    from masklet.runtime.sources.source import Cut, FeedOptions, Source


def is_camera(spec: str) -> bool:
    """Whether a SOURCE is a camera's number or device file."""
    return (spec.isascii() and spec.isdecimal()) or spec.startswith("/dev/video")


def open_v4l2(spec: str, cut: "Cut", options: "FeedOptions") -> "Source":
    """A camera by its number or its device file."""
    from masklet.runtime.sources.camera import open_camera

    return open_camera(f"/dev/video{int(spec)}" if spec.isdecimal() else spec, cut, options)


SOURCE = SourceKind("0, /dev/video0", is_camera, open_v4l2, order=60)
