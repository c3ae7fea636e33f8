"""--mcap: masks, boxes and labels as an MCAP file."""

from pathlib import Path
from typing import TYPE_CHECKING

from masklet.runtime.option import Option
from masklet.runtime.sinks.kind import OnResume, Opening, SinkKind, Target

if TYPE_CHECKING:
    from masklet.runtime.sinks.sink import Sink

FRAME_ID = Option("mcap_frame_id", "Frame of reference that --mcap states in its headers.", default="", metavar="NAME")


def open_mcap(target: Target, opening: Opening) -> "Sink":
    """A file at the times of the source; from 1970 on if the source does not know the time of the day."""
    from masklet.runtime.sinks.mcap_log import McapLog

    return McapLog(Path(target), opening.began_ns or 0, opening.settings.get(FRAME_ID.name, FRAME_ID.default))


SINK = SinkKind(
    Option("mcap", "Masks, boxes and labels as ROS 2 and Foxglove messages.", Path, metavar="FILE.mcap"),
    open_mcap,
    OnResume.NEXT_PART,
    order=4,
    options=(FRAME_ID,),
)
