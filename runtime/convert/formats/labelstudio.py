"""Label Studio: a task per frame, with its masks as brush predictions."""

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from masklet.runtime.convert.format import Format

if TYPE_CHECKING:
    from masklet.runtime.convert.clip_results import ClipObject, ClipResults
    from masklet.runtime.pixels.geometry import BoolArray

SIZES = (3, 4, 8, 16)  # bits of a run's length; each run says which
CHANNELS = 4  # a brush is a picture with colours and transparency
LONGEST = (1 << SIZES[-1]) // CHANNELS * CHANNELS


def write_labelstudio(clip: "ClipResults", target: Path) -> None:
    """A JSON file of tasks, and beside it FILE.xml, the labelling interface that they are for.

    A task's picture is what --images says: name what your Label Studio serves, such as
    `/data/local-files/?d=clip/{frame:05d}.jpg`.
    """
    import msgspec
    from masklet.runtime.sinks.output_file import write_whole

    tasks = [
        {
            "data": {"image": frame.image, "frame": frame.index},
            "predictions": [
                {"model_version": "masklet", "result": [_brush(one, clip.hw, frame.index) for one in frame.objects]}
            ],
        }
        for frame in clip
    ]
    write_whole(target, msgspec.json.encode(tasks))
    write_whole(target.with_suffix(".xml"), _interface(clip.labels))


def _brush(one: "ClipObject", hw: tuple[int, int], frame: int) -> dict[str, Any]:
    height, width = hw
    value = {"format": "rle", "rle": list(brush_rle(one.mask())), "brushlabels": [one.label]}
    return {
        "id": f"{frame}-{one.id}",
        "type": "brushlabels",
        "from_name": "mask",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "score": one.record.score,
        "meta": {"text": [f"object {one.id}"]},
        "value": value,
    }


def brush_rle(mask: "BoolArray") -> bytes:
    """A mask [H, W] as Label Studio packs a brush (the rle-pack format of thi.ng/umbrella).

    After the number of values in 32 bits, their width and the four widths that lengths may have, each less one, come
    runs: a bit for a repeated value, two bits for the width of the length, the length less one, and the value.
    """
    import numpy as np

    flat = mask.ravel()
    edges = [0, *(np.flatnonzero(np.diff(flat.view(np.int8))) + 1).tolist(), len(flat)]
    bits = [f"{flat.size * CHANNELS:032b}", f"{8 - 1:05b}", *(f"{size - 1:04b}" for size in SIZES)]
    for begin, end in pairwise(edges):
        value, left = ("1" if flat[begin] else "0") * 8, (end - begin) * CHANNELS
        while left:
            length = min(left, LONGEST)
            place = next(n for n, size in enumerate(SIZES) if length <= 1 << size)
            bits.append(f"1{place:02b}{length - 1:0{SIZES[place]}b}{value}")
            left -= length
    packed = "".join(bits)
    packed += "0" * (-len(packed) % 8)
    return int(packed, 2).to_bytes(len(packed) // 8, "big")


def _interface(labels: list[str]) -> bytes:
    from xml.sax.saxutils import quoteattr

    choices = "".join(f"    <Label value={quoteattr(label)}/>\n" for label in labels)
    return (
        '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
        f'  <BrushLabels name="mask" toName="image">\n{choices}  </BrushLabels>\n</View>\n'
    ).encode()


FORMAT = Format("labelstudio", "Label Studio tasks with brush masks, one file", ".labelstudio.json", write_labelstudio)
