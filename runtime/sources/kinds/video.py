"""A video file: any file that no other kind takes."""

from pathlib import Path
from typing import TYPE_CHECKING

from masklet.runtime.sources.kind import SourceKind

if TYPE_CHECKING:
    from masklet.runtime.sources.source import Cut, FeedOptions, Source


def open_video(spec: str, cut: "Cut", options: "FeedOptions") -> "Source":
    """The frames of a video file, by PyAV."""
    from masklet.runtime.sources.video_file import VideoFile

    return VideoFile(spec, Path(spec), cut, options.threads)


SOURCE = SourceKind("a video", lambda spec: Path(spec).is_file(), open_video, feed=False, order=1000)
