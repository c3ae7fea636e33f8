"""DAVIS: a palette PNG per frame, whose pixels' values are objects' ids."""

from pathlib import Path
from typing import TYPE_CHECKING

from masklet.runtime.convert.format import Format

if TYPE_CHECKING:
    from masklet.runtime.convert.clip_results import ClipResults
    from masklet.runtime.convert.labelled_frame import LabelledFrames


def write_davis(clip: "ClipResults", target: Path) -> None:
    """A folder of PNGs; where masks overlap, the object with the higher score has the pixel. Ids up to 255."""
    import numpy as np
    from masklet.runtime.pixels.palette import palette_png
    from masklet.runtime.results import FrameResult
    from masklet.runtime.sinks.output_file import write_whole

    for frame in clip:
        count = len(frame.objects)
        masks = np.zeros((count, *clip.hw), np.bool_)
        for row, one in zip(masks, frame.objects, strict=True):
            row[:] = one.mask()
        ids = np.array([one.id for one in frame.objects], np.int64)
        scores = np.array([one.record.score for one in frame.objects], np.float32)
        result = FrameResult(frame.index, 0.0, ids, masks, np.zeros((count, 4), np.float32), scores)
        write_whole(target / f"{frame.index:05d}.png", palette_png(result, target))


def read_davis(source: Path) -> "LabelledFrames":
    """A folder of PNGs; the number in a name is the frame."""
    from masklet.runtime.convert.labelled_frame import LabelledFrame, LabelledMask
    from masklet.runtime.masks.label_pngs import LabelPngs

    pngs = LabelPngs(source)
    for index in sorted(pngs.frames):
        yield LabelledFrame(index, [LabelledMask(i, mask) for i, mask in (pngs.masks(index) or {}).items()])


FORMAT = Format("davis", "palette PNGs as DAVIS has them, a folder", ".davis/", write_davis, read_davis)
