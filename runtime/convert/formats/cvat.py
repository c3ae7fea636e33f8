"""CVAT: "CVAT for images 1.1", masks with the object's id as their group."""

from pathlib import Path
from typing import TYPE_CHECKING

from masklet.runtime.convert.format import Format

if TYPE_CHECKING:
    from masklet.runtime.convert.clip_results import ClipObject, ClipResults


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


FORMAT = Format("cvat", "CVAT for images 1.1, masks, one XML file", ".cvat.xml", write_cvat)
