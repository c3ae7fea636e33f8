"""What a kind of source declares of itself, so that the right reader is found for a SOURCE of the command line."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from masklet.runtime.option import Option

if TYPE_CHECKING:
    from masklet.runtime.sources.source import Cut, FeedOptions, Source


@dataclass(frozen=True, slots=True)
class SourceKind:
    """A way to get frames.

    form:    what a user writes, for messages: "rtsp://HOST/PATH".
    matches: whether a SOURCE is of this kind; it opens nothing and loads no reader.
    open:    connects to it. Raises SourceError, one line without any password, where frames cannot be read.
    feed:    whether it is a camera, a stream or standard input, to which FeedOptions apply, rather than files.
    options: what can be asked of this kind alone; the values come in `FeedOptions.settings`.
    order:   kinds with a lower number are asked first.
    """

    form: str
    matches: Callable[[str], bool]
    open: "Callable[[str, Cut, FeedOptions], Source]"
    feed: bool = True
    options: tuple[Option, ...] = ()
    order: int = 50
