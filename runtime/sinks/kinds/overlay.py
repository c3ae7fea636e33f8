"""--overlay: a video with the masks drawn in."""

from pathlib import Path
from typing import TYPE_CHECKING

from masklet.runtime.option import Option
from masklet.runtime.sinks.kind import OnResume, Opening, SinkKind, Target

if TYPE_CHECKING:
    from masklet.runtime.sinks.sink import Sink


def open_overlay(target: Target, opening: Opening) -> "Sink":
    """An overlay video in a file."""
    from masklet.runtime.sinks.overlay_video import OverlayVideo

    return OverlayVideo(target, opening.fps)


SINK = SinkKind(
    Option("overlay", "Video with the masks drawn in.", Path, short="-o", metavar="FILE.mp4"),
    open_overlay,
    OnResume.NEXT_PART,
    order=0,
)
