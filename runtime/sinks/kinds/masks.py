"""--masks: one JSON line per frame, masks as COCO RLE."""

from pathlib import Path
from typing import TYPE_CHECKING

from masklet.runtime.option import Option
from masklet.runtime.sinks.kind import OnResume, Opening, SinkKind, Target

if TYPE_CHECKING:
    from masklet.runtime.sinks.sink import Sink


def open_masks(target: Target, opening: Opening) -> "Sink":
    """JSON lines in a file."""
    from masklet.runtime.sinks.json_lines import MasksJsonl

    return MasksJsonl(target, opening.keep)


SINK = SinkKind(
    Option("masks", "One JSON line per frame, masks as COCO RLE; - for standard output.", Path, metavar="FILE.jsonl"),
    open_masks,
    OnResume.APPEND,
    order=1,
    rotates=True,
)
