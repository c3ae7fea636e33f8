"""Opens a source: finds the reader for a SOURCE of the command line."""

import re

from masklet.runtime.errors import SourceError
from masklet.runtime.sources.environment import from_environment
from masklet.runtime.sources.kind import SourceKind
from masklet.runtime.sources.known import source_kinds, source_options
from masklet.runtime.sources.password import hide_password
from masklet.runtime.sources.source import Cut, FeedOptions, Source

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.*", re.DOTALL)


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

    feed: options of a camera, the format of raw frames, or how a video file is decoded. The other arguments are those
          of `Cut`. A camera or stream is connected at once.
    Raises SourceError, one line, if frames cannot be read.
    """
    cut, feed, spec = Cut(start, end, stride, max_side, reverse), feed or FeedOptions(), from_environment(spec)
    try:
        return check_source(spec, feed).open(spec, cut, feed)
    except PermissionError:
        raise SourceError(f"{spec}: permission denied") from None


def check_source(spec: str, feed: FeedOptions) -> SourceKind:
    """The kind of a SOURCE that may have these options; nothing is opened. Raises SourceError."""
    kind = kind_of(spec)
    _check_options(spec, kind, feed)
    return kind


def kind_of(spec: str) -> SourceKind:
    """The kind of a SOURCE. Raises SourceError, without passwords, if there is none."""
    known = source_kinds()
    found = next((kind for kind in known if kind.matches(spec)), None)
    if found is not None:
        return found
    if _ADDRESS.fullmatch(spec):
        forms = ", ".join(kind.form for kind in known if kind.feed)
        scheme = spec.partition("://")[0]
        raise SourceError(
            f"{hide_password(spec)}: frames cannot be read from {scheme}://; give a file, a folder, {forms}"
        )
    raise SourceError(f"{spec}: no such file or folder; give a video, an image or a folder of images")


def _check_options(spec: str, kind: SourceKind, feed: FeedOptions) -> None:
    """Raise SourceError for options that are for another kind of source."""
    if not kind.feed and feed.asks_format:
        raise SourceError(f"{spec}: a file has its own size, rate and pixel format; --max-side shrinks its frames")
    taken = {option.name for option in kind.options}
    for option in source_options():
        if option.name in feed.settings and option.name not in taken:
            owners = " or ".join(k.form for k in source_kinds() if option.name in {o.name for o in k.options})
            raise SourceError(f"{hide_password(spec)}: {option.flag} is for {owners}")
