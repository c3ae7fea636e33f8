"""CVAT: "CVAT for images 1.1", masks with the object's id as their group."""

from pathlib import Path
from typing import TYPE_CHECKING

from masklet.runtime.convert.format import Format

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from masklet.runtime.convert.clip_results import ClipObject, ClipResults
    from masklet.runtime.convert.labelled_frame import LabelledFrames, LabelledMask
    from masklet.runtime.pixels.geometry import BoolArray


def write_cvat(clip: "ClipResults", target: Path) -> None:
    """An XML file to upload as annotations; the task needs the labels that it names.

    Not "CVAT for video": its tracks are of boxes and polygons, and cannot hold masks.
    """
    from xml.etree import ElementTree

    from masklet.runtime.sinks.output_file import write_whole

    height, width = clip.hw
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    ElementTree.SubElement(task, "name").text = clip.path.stem
    ElementTree.SubElement(task, "mode").text = "annotation"
    labels = ElementTree.SubElement(task, "labels")
    for label in clip.labels:
        ElementTree.SubElement(ElementTree.SubElement(labels, "label"), "name").text = label
    for number, frame in enumerate(clip):
        place = {"id": str(number), "name": frame.image, "width": str(width), "height": str(height)}
        image = ElementTree.SubElement(root, "image", place)
        for one in frame.objects:
            ElementTree.SubElement(image, "mask", _mask(one))
    ElementTree.indent(root)
    write_whole(target, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _mask(one: "ClipObject") -> dict[str, str]:
    """A mask within its box: runs along the rows, the first of zeros."""
    import numpy as np

    left, top, width, height = one.box_xywh
    flat = one.mask()[top : top + height, left : left + width].ravel()
    edges = np.flatnonzero(np.diff(flat.view(np.int8))) + 1
    runs = np.diff([0, *edges.tolist(), len(flat)]).tolist()
    rle = ", ".join(map(str, [0, *runs] if flat[0] else runs))
    place = {"left": str(left), "top": str(top), "width": str(width), "height": str(height)}
    fixed = {"source": "masklet", "occluded": "0", "z_order": "0"}
    return {"label": one.label, "rle": rle, **place, **fixed, "group_id": str(one.id)}


def read_cvat(source: Path) -> "LabelledFrames":
    """Masks and polygons of "CVAT for images 1.1"; those of one group on a frame are one object, which has its number.

    A frame's index is the number in its image's name, or the image's id.
    """
    from xml.etree import ElementTree

    from masklet.runtime.convert.labelled_frame import LabelledFrame, frame_in

    found = {}
    for image in ElementTree.parse(source).getroot().iter("image"):
        index = frame_in(image.get("name", ""))
        hw = int(image.get("height", "")), int(image.get("width", ""))
        found[int(image.get("id", "")) if index is None else index] = (image, hw)
    for index, (image, hw) in sorted(found.items()):
        yield LabelledFrame(index, _objects(image, index, hw))


def _objects(image: "Element", index: int, hw: tuple[int, int]) -> "list[LabelledMask]":
    from masklet.runtime.convert.labelled_frame import LabelledMask
    from masklet.runtime.errors import MasksError

    found: dict[int, LabelledMask] = {}
    for shape in (*image.iter("mask"), *image.iter("polygon")):
        number = int(shape.get("group_id") or 0)
        if not number:
            raise MasksError(f"a {shape.tag} on frame {index} has no group, which says whose it is")
        mask = _read_mask(shape, hw)
        known = found.get(number)
        found[number] = LabelledMask(number, mask if known is None else mask | known.mask, shape.get("label"))
    return list(found.values())


def _read_mask(shape: "Element", hw: tuple[int, int]) -> "BoolArray":
    """[H, W] bool of a mask or a polygon."""
    import numpy as np
    from masklet.runtime.convert.polygons import mask_of_polygons

    if shape.tag == "polygon":
        points = shape.get("points", "").replace(";", ",").split(",")
        return mask_of_polygons([[float(value) for value in points]], hw)
    left, top, width, height = (int(shape.get(name, "")) for name in ("left", "top", "width", "height"))
    runs = [int(run) for run in shape.get("rle", "").split(",")]
    mask = np.zeros(hw, np.bool_)
    mask[top : top + height, left : left + width] = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(
        height, width
    )
    return mask


FORMAT = Format("cvat", "CVAT for images 1.1, masks, one XML file", ".cvat.xml", write_cvat, read_cvat)
