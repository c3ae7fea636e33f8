"""--rerun: frames, masks, boxes, scores and the latencies of stages for Rerun's viewer."""

from pathlib import Path
from typing import TYPE_CHECKING

from masklet.runtime.option import Option
from masklet.runtime.sinks.kind import OnResume, Opening, SinkKind, Target, check_path

if TYPE_CHECKING:
    from masklet.runtime.sinks.sink import Sink

SUFFIX = ".rrd"


def is_file(target: Target) -> bool:
    """Whether a target is a file rather than the host of a viewer."""
    return str(target).endswith(SUFFIX)


def check(target: Target) -> None:
    """Raise SinkError if the folder of a file does not exist."""
    if is_file(target):
        check_path(target)


def open_rerun(target: Target, opening: Opening) -> "Sink":
    """A recording in a file, or sent to a viewer."""
    from masklet.runtime.sinks.rerun_log import RerunLog, connect, record

    recording = record(Path(target)) if is_file(target) else connect(str(target))
    return RerunLog(recording, opening.stages)


SINK = SinkKind(
    Option(
        "rerun",
        "Log frames, masks, scores and the times of stages for Rerun: to a file, or to a viewer that runs.",
        metavar="FILE.rrd|HOST[:PORT]",
    ),
    open_rerun,
    OnResume.NEXT_PART,
    check,
    order=3,
    times_stages=True,
)
