"""rtsp://, rtsps://: a network camera."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from masklet.runtime.sources.kind import SourceKind
from masklet.runtime.sources.password import hide_password

if TYPE_CHECKING:
    from masklet.runtime.sources.source import Cut, FeedOptions, Source


def is_rtsp(spec: str) -> bool:
    """Whether a SOURCE is an address of RTSP."""
    return "://" in spec and urlsplit(spec).scheme.lower() in ("rtsp", "rtsps")


def open_stream(spec: str, cut: "Cut", options: "FeedOptions") -> "Source":
    """A stream of an RTSP server, over TCP."""
    from masklet.runtime.sources.rtsp import open_rtsp

    return open_rtsp(spec, hide_password(spec), cut, options)


SOURCE = SourceKind("rtsp://HOST/PATH", is_rtsp, open_stream, order=70)
