"""--pngs: a palette PNG per frame."""

from pathlib import Path
from typing import TYPE_CHECKING

from masklet.runtime.option import Option
from masklet.runtime.sinks.kind import OnResume, Opening, SinkKind, Target

if TYPE_CHECKING:
    from masklet.runtime.sinks.sink import Sink


def open_pngs(target: Target, opening: Opening) -> "Sink":
    """Palette PNGs in a folder."""
    from masklet.runtime.sinks.mask_pngs import MaskPngs

    return MaskPngs(target)


SINK = SinkKind(
    Option("pngs", "Folder of palette PNGs as DAVIS has them.", Path, metavar="FOLDER"),
    open_pngs,
    OnResume.SAME,
    order=2,
)
