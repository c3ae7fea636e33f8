"""MOTS: a text file with a line per object and frame, as MOTChallenge and KITTI MOTS have it."""

from pathlib import Path
from typing import TYPE_CHECKING

from masklet.runtime.convert.format import Format
from masklet.runtime.errors import MasksError

if TYPE_CHECKING:
    from masklet.runtime.convert.clip_results import ClipResults
    from masklet.runtime.convert.labelled_frame import LabelledFrames, LabelledMask

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


def read_mots(source: Path) -> "LabelledFrames":
    """Lines as above. Classes have no names there: they are called `class 1`, `class 2`, ... A frame without a line is
    left out, since nobody knows of it.
    """
    from masklet.runtime.convert.labelled_frame import LabelledFrame

    frames: dict[int, list[list[str]]] = {}
    for number, line in enumerate(source.read_text().splitlines(), 1):
        parts = line.split()
        if len(parts) != 6:
            raise MasksError(f"line {number}: wanted `frame id class height width rle`")
        frames.setdefault(int(parts[0]), []).append(parts[1:])
    for index in sorted(frames):
        yield LabelledFrame(index, [_labelled(*parts) for parts in frames[index]])


def _labelled(object_id: str, label: str, height: str, width: str, counts: str) -> "LabelledMask":
    from masklet.runtime.convert.labelled_frame import LabelledMask
    from masklet.runtime.pixels.coco_rle import CocoRle

    return LabelledMask(int(object_id) % MOST, CocoRle((int(height), int(width)), counts).mask(), f"class {label}")


FORMAT = Format("mots", "MOTS as MOTChallenge has it, one file", ".mots.txt", write_mots, read_mots)
