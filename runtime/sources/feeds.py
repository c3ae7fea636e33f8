"""Which SOURCE of the command line is a feed, and which reader it gets."""

import re
from urllib.parse import urlsplit

from masklet.runtime.errors import SourceError
from masklet.runtime.sources.password import hide_password
from masklet.runtime.sources.source import Cut, FeedOptions, Source

_FEED = re.compile(r"-|\d+|/dev/video.*|csi:.*|gst:.*|[A-Za-z][A-Za-z0-9+.-]*://.*", re.DOTALL)
_WANTED = "give a file, a folder, 0, /dev/video0, rtsp://HOST/PATH, csi://0, gst:PIPELINE, or - for raw frames"


def is_feed(spec: str) -> bool:
    """Whether frames come from a camera, a stream or standard input rather than from files."""
    return _FEED.fullmatch(spec) is not None


def open_feed(spec: str, cut: Cut, options: FeedOptions) -> Source:
    """Connect to a feed. Raises SourceError, without any password in it, where that fails."""
    name = hide_password(spec)
    if spec == "-":
        from masklet.runtime.sources.raw_frames import RawFrames

        return RawFrames("standard input", cut, options)
    if spec.isdecimal() or spec.startswith("/dev/"):
        from masklet.runtime.sources.camera import open_camera

        return open_camera(f"/dev/video{int(spec)}" if spec.isdecimal() else spec, cut, options)
    if spec.startswith(("csi:", "gst:")):
        from masklet.runtime.sources.gstreamer import open_pipeline

        return open_pipeline(spec, cut, options)
    if urlsplit(spec).scheme.lower() in ("rtsp", "rtsps"):
        from masklet.runtime.sources.rtsp import open_rtsp

        return open_rtsp(spec, name, cut, options)
    raise SourceError(f"{name}: frames cannot be read from {spec.partition('://')[0]}://; {_WANTED}")
