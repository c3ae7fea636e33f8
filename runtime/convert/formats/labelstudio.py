"""Label Studio: a task per frame, with its masks as brush predictions."""

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from masklet.runtime.convert.format import Format

if TYPE_CHECKING:
    from masklet.runtime.convert.clip_results import ClipObject, ClipResults
    from masklet.runtime.convert.labelled_frame import LabelledFrames, LabelledMask
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


def read_labelstudio(source: Path) -> "LabelledFrames":
    """Brushes of exported tasks: of a task's last annotation, or of its first prediction where nobody annotated it.

    A brush is of the object that its id or its text names, as they were written here.
    """
    import msgspec
    from masklet.runtime.convert.labelled_frame import LabelledFrame, frame_in

    tasks = {}
    for task in msgspec.json.decode(source.read_bytes()):
        index = task["data"].get("frame", frame_in(task["data"]["image"]))
        done = [one for one in task.get("annotations", ()) if not one.get("was_cancelled")]
        results = (done[-1:] or task.get("predictions", ())[:1] or [{"result": []}])[0]["result"]
        tasks[int(index)] = [one for one in results if one["type"] == "brushlabels"]
    for index, brushes in sorted(tasks.items()):
        yield LabelledFrame(index, [_labelled(one) for one in brushes])


def _labelled(brush: dict[str, Any]) -> "LabelledMask":
    import re

    from masklet.runtime.convert.labelled_frame import LabelledMask
    from masklet.runtime.errors import MasksError

    texts = " ".join(brush.get("meta", {}).get("text", ()))
    named = re.fullmatch(r"\d+-(\d+)", brush["id"]) or re.search(r"object (\d+)", texts)
    if named is None:
        raise MasksError(f"brush {brush['id']} does not say whose it is; write `object 3` into its text (meta)")
    hw = brush["original_height"], brush["original_width"]
    label = (brush["value"]["brushlabels"] or [None])[0]
    return LabelledMask(int(named[1]), unpacked_brush(bytes(brush["value"]["rle"]), hw), label)


def unpacked_brush(packed: bytes, hw: tuple[int, int]) -> "BoolArray":
    """The mask [H, W] of a brush: where its picture is not transparent. Raises MasksError where it does not fill it."""
    import numpy as np
    from masklet.runtime.errors import MasksError

    bits = f"{int.from_bytes(packed, 'big'):0{8 * len(packed)}b}"
    count, word = int(bits[:32], 2), int(bits[32:37], 2) + 1
    sizes = [int(bits[at : at + 4], 2) + 1 for at in range(37, 53, 4)]
    if count != hw[0] * hw[1] * CHANNELS:
        raise MasksError(f"a brush has {count} values, not those of {hw[1]}x{hw[0]} pixels")
    values = np.zeros(count, np.uint8)
    at, filled = 53, 0
    while filled < count:
        repeated, size = bits[at] == "1", sizes[int(bits[at + 1 : at + 3], 2)]
        length = int(bits[at + 3 : at + 3 + size], 2) + 1
        at += 3 + size
        if repeated:
            values[filled : filled + length] = int(bits[at : at + word], 2)
            at += word
        else:
            values[filled : filled + length] = [int(bits[n : n + word], 2) for n in range(at, at + length * word, word)]
            at += length * word
        filled += length
    return values.reshape(*hw, CHANNELS)[:, :, CHANNELS - 1] > 0


FORMAT = Format(
    "labelstudio",
    "Label Studio tasks with brush masks, one file",
    ".labelstudio.json",
    write_labelstudio,
    read_labelstudio,
)
