"""Errors of a running pipeline, each as one line."""

from typing import Any

from masklet.runtime.errors import SourceError
from masklet.runtime.sources.gst.elements import bringing
from masklet.runtime.sources.live import LostError
from masklet.runtime.sources.password import hide_password

RTSP_SOURCE = "masklet_rtsp"  # name of the element that connects to a server
_FORMATS = "its elements do not agree on a format; check caps such as size, rate and format"


def parse(gst: Any, name: str, text: str) -> Any:
    """The pipeline of a text. Raises SourceError if an element is missing or elements do not fit together."""
    from gi.repository import GLib

    try:
        return gst.parse_launch(text)
    except GLib.Error as error:
        raise SourceError(f"{name}: {_parse_error(gst, error)}") from None


def check(gst: Any, name: str, pipeline: Any) -> None:
    """Raise an error for the first message that ends a pipeline, if there is one; does not wait."""
    message = pipeline.get_bus().pop_filtered(gst.MessageType.ERROR | gst.MessageType.EOS)
    if message is None:
        return
    if message.type == gst.MessageType.EOS:
        raise LostError(f"{name}: the stream ended")
    error, details = message.parse_error()
    raise explained(gst, name, message.src.get_name(), error, details or "")


def explained(gst: Any, name: str, element: str, error: Any, details: str) -> SourceError:
    """An error message of the bus as an exception. details: its text for developers."""
    if element == RTSP_SOURCE:
        found = next((text for code, text in _of_servers(gst) if error.matches(*code)), None)
        if found is not None:
            return LostError(f"{name}: {found}")
    if "not-negotiated" in details:
        return LostError(f"{name}: {element}: {_FORMATS}")
    reason = details.strip().splitlines()[-1].strip() if details.strip() else ""
    line = " ".join(f"{error.message.strip().rstrip('.')}{': ' if reason else ''}{reason}".split())
    return LostError(hide_password(f"{name}: {element}: {line}"))


def _of_servers(gst: Any) -> list[tuple[tuple[Any, Any], str]]:
    """Errors of an RTSP server, as domain and code, and what they mean."""
    resource = gst.ResourceError.quark()
    return [
        (
            (resource, gst.ResourceError.NOT_AUTHORIZED),
            "the server refuses user or password; give rtsp://USER:PASSWORD@HOST",
        ),
        ((resource, gst.ResourceError.NOT_FOUND), "the server has no such stream; check the path"),
        ((resource, gst.ResourceError.OPEN_READ_WRITE), "the server cannot be reached; check address and port"),
        ((gst.StreamError.quark(), gst.StreamError.CODEC_NOT_FOUND), "the server sends no video"),
    ]


def _parse_error(gst: Any, error: Any) -> str:
    line = hide_password(" ".join(error.message.split()))
    if error.matches(gst.ParseError.quark(), gst.ParseError.NO_SUCH_ELEMENT):
        element = line.split('"')[1] if line.count('"') > 1 else line
        return f"GStreamer has no element {element}; {bringing(element)}"
    return f"GStreamer cannot build this pipeline: {line}"
