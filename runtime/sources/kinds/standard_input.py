"""-: raw frames from standard input."""

from typing import TYPE_CHECKING

from masklet.runtime.sources.kind import SourceKind

if TYPE_CHECKING:
    from masklet.runtime.sources.source import Cut, FeedOptions, Source


def open_standard_input(spec: str, cut: "Cut", options: "FeedOptions") -> "Source":
    """Raw frames, as FFmpeg's `-f rawvideo -` writes them."""
    from masklet.runtime.sources.raw_frames import RawFrames

    return RawFrames("standard input", cut, options)


SOURCE = SourceKind("- for raw frames", lambda spec: spec == "-", open_standard_input, order=90)
