"""--overlay: a video with the masks drawn in."""

from pathlib import Path
from typing import TYPE_CHECKING

from masklet.runtime.option import Option
from masklet.runtime.sinks.kind import OnResume, Opening, SinkKind, Target

if TYPE_CHECKING:
    from masklet.runtime.sinks.sink import Sink


ENCODER = Option(
    "overlay_encoder",
    "What encodes the overlay; auto takes the hardware's where there is one.",
    default="auto",
    choices=("auto", "libx264", "h264_nvenc", "h264_v4l2m2m", "mpeg4"),
)
PRESET = Option(
    "overlay_preset",
    "Speed of libx264 against the size of the file.",
    default="superfast",
    choices=("ultrafast", "superfast", "veryfast", "faster", "fast", "medium"),
)


def open_overlay(target: Target, opening: Opening) -> "Sink":
    """An overlay video in a file."""
    from masklet.runtime.sinks.overlay_video import OverlayVideo

    encoder, preset = (opening.settings.get(option.name, option.default) for option in (ENCODER, PRESET))
    return OverlayVideo(target, opening.fps, encoder=encoder, preset=preset, prompts=opening.prompts)


SINK = SinkKind(
    Option("overlay", "Video with the masks drawn in.", Path, short="-o", metavar="FILE.mp4"),
    open_overlay,
    OnResume.NEXT_PART,
    order=0,
    options=(ENCODER, PRESET),
    rotates=True,
)
