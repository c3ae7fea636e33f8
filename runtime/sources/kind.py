"""The declaration of a kind of source, by which the reader for a SOURCE of the command line is found."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from masklet.runtime.option import Option

if TYPE_CHECKING:
    from masklet.runtime.sources.source import Cut, FeedOptions, Source


@dataclass(frozen=True, slots=True)
class SourceKind:
    """A kind of source.

    form:    how a user writes it, for messages: "rtsp://HOST/PATH".
    matches: whether a SOURCE is of this kind; it opens nothing and loads no reader.
    open:    opens it. Raises SourceError, one line without any password, if frames cannot be read.
    feed:    True for cameras, streams and standard input, to which FeedOptions apply; False for files, to which only
             its threads do.
    options: options of this kind only; their values are in `FeedOptions.settings`.
    order:   kinds with a lower number are tried first.
    """

    form: str
    matches: Callable[[str], bool]
    open: "Callable[[str, Cut, FeedOptions], Source]"
    feed: bool = True
    options: tuple[Option, ...] = ()
    order: int = 50
