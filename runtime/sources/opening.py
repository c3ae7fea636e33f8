"""Opens a source: picks the reader for a SOURCE of the command line."""

from pathlib import Path

from masklet.runtime.errors import SourceError
from masklet.runtime.sources.feeds import is_feed, open_feed
from masklet.runtime.sources.image_files import ImageFiles, is_image, list_images
from masklet.runtime.sources.source import Cut, FeedOptions, Source
from masklet.runtime.sources.video_file import VideoFile


def open_source(
    spec: str,
    *,
    start: int = 0,
    end: int | None = None,
    stride: int = 1,
    max_side: int | None = None,
    reverse: bool = False,
    feed: FeedOptions | None = None,
) -> Source:
    """Open a video file, a folder of images, a single image, a camera or a stream.

    feed: what is asked of a camera, or told of raw frames. The other arguments are those of `Cut`. A camera or
    stream is connected to at once. Raises SourceError, one line, where frames cannot be read from it.
    """
    cut = Cut(start, end, stride, max_side, reverse)
    if is_feed(spec):
        return open_feed(spec, cut, feed or FeedOptions())
    if feed not in (None, FeedOptions()):
        raise SourceError(f"{spec}: a file has its own size, rate and pixel format; --max-side shrinks its frames")
    path = Path(spec)
    try:
        if path.is_dir():
            return ImageFiles(spec, list_images(path), cut)
        if not path.is_file():
            raise SourceError(f"{spec}: no such file or folder; give a video, an image or a folder of images")
        return ImageFiles(spec, [path], cut) if is_image(path) else VideoFile(spec, path, cut)
    except PermissionError:
        raise SourceError(f"{spec}: permission denied") from None
