"""rtsp://, rtsps://: a network camera."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from masklet.runtime.sources.kind import SourceKind
from masklet.runtime.sources.password import hide_password
from masklet.runtime.sources.reader import GSTREAMER, PYAV, READER, read_by

if TYPE_CHECKING:
    from masklet.runtime.sources.source import Cut, FeedOptions, Source


def is_rtsp(spec: str) -> bool:
    """Whether a SOURCE is an address of RTSP."""
    return "://" in spec and urlsplit(spec).scheme.lower() in ("rtsp", "rtsps")


def open_stream(spec: str, cut: "Cut", options: "FeedOptions") -> "Source":
    """A stream of an RTSP server, over TCP.

    GStreamer checks the certificate of an rtsps:// server, which cameras sign themselves, and FFmpeg does not: so PyAV
    reads those unless GStreamer is asked for.
    """
    from masklet.runtime.sources import rtsp
    from masklet.runtime.sources.gst import feeds

    name = hide_password(spec)
    readers = {
        GSTREAMER: lambda: feeds.open_rtsp(spec, name, cut, options),
        PYAV: lambda: rtsp.open_rtsp(spec, name, cut, options),
    }
    encrypted = urlsplit(spec).scheme.lower() == "rtsps"
    return read_by(name, options, dict(sorted(readers.items(), reverse=encrypted)))


SOURCE = SourceKind("rtsp://HOST/PATH", is_rtsp, open_stream, options=(READER,), order=70)
