"""Which library reads cameras and streams: GStreamer where it is installed, otherwise OpenCV or PyAV."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from masklet.runtime.errors import SourceError
from masklet.runtime.option import Option
from masklet.runtime.sources.gst.library import GStreamerMissingError

if TYPE_CHECKING:
    from masklet.runtime.sources.source import FeedOptions, Source

AUTO, GSTREAMER, OPENCV, PYAV = "auto", "gstreamer", "opencv", "pyav"
READER = Option(
    "reader",
    "What reads cameras and streams; auto takes GStreamer where it is installed.",
    default=AUTO,
    choices=(AUTO, GSTREAMER, OPENCV, PYAV),
)


def read_by(
    name: str,
    options: "FeedOptions",
    readers: "Mapping[str, Callable[[], Source]]",
    can_fall_back: Callable[[], bool] = lambda: True,
) -> "Source":
    """Open a source by the reader that `--reader` names; by default by GStreamer, by another if that lacks something.

    readers:       how each reader opens the source, the preferred one first.
    can_fall_back: whether another reader can do without GStreamer.
    Raises SourceError.
    """
    asked = options.settings.get(READER.name, AUTO)
    if asked not in (AUTO, *readers):
        raise SourceError(f"{name}: cannot be read by {READER.flag} {asked}; give {' or '.join(readers)}")
    preferred, *others = readers
    try:
        return readers[preferred if asked == AUTO else asked]()
    except GStreamerMissingError as lacks:
        if asked != AUTO or not can_fall_back():
            raise SourceError(f"{name}: {lacks}") from None
        source = readers[others[0]]()
        source.about = f"{source.about} ({lacks})"
        return source
