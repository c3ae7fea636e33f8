"""MOTS: a text file with a line per object and frame, as MOTChallenge and KITTI MOTS have it."""

from pathlib import Path
from typing import TYPE_CHECKING

from masklet.runtime.convert.format import Format
from masklet.runtime.errors import MasksError

if TYPE_CHECKING:
    from masklet.runtime.convert.clip_results import ClipResults

MOST = 1000  # ids of a class: an object is class * 1000 + its own number


def write_mots(clip: "ClipResults", target: Path) -> None:
    """`frame id class height width rle`; masks must not overlap there: the object with the higher score has the pixel.

    Classes are numbered from 1 in the order of the alphabet; an object's id is class * 1000 + its own. Raises
    MasksError for an id of 1000 or more.
    """
    import numpy as np
    from masklet.runtime.pixels.coco_rle import CocoRle
    from masklet.runtime.sinks.output_file import write_whole

    height, width = clip.hw
    lines = []
    for frame in clip:
        taken = np.zeros(clip.hw, np.bool_)
        for one in sorted(frame.objects, key=lambda one: -one.record.score):
            if one.id >= MOST:
                raise MasksError(f"object {one.id}: MOTS has room for ids up to {MOST - 1}")
            mask = one.mask() & ~taken
            taken |= mask
            label = clip.labels.index(one.label) + 1
            rle = CocoRle.of(mask).counts
            if mask.any():
                lines.append(f"{frame.index} {label * MOST + one.id} {label} {height} {width} {rle}\n")
    write_whole(target, "".join(lines).encode())


FORMAT = Format("mots", "MOTS as MOTChallenge has it, one file", ".mots.txt", write_mots)
