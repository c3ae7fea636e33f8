"""COCO: instances as RLE, with the object's id as `track_id`; pycocotools and what builds on it read them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from masklet.runtime.convert.format import Format

if TYPE_CHECKING:
    from masklet.runtime.convert.clip_results import ClipResults
    from masklet.runtime.convert.labelled_frame import LabelledFrames, LabelledMask
    from masklet.runtime.pixels.geometry import BoolArray


def write_coco(clip: "ClipResults", target: Path) -> None:
    """A JSON file. Images are numbered from 1; frames without an object are in it, too."""
    import msgspec
    from masklet.runtime.sinks.output_file import write_whole

    height, width = clip.hw
    categories = {label: number for number, label in enumerate(clip.labels, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for frame in clip:
        image_id = len(images) + 1
        images.append(
            {"id": image_id, "file_name": frame.image, "width": width, "height": height, "frame_id": frame.index}
        )
        for one in frame.objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": categories[one.label],
                    "segmentation": {"size": [height, width], "counts": one.record.segmentation.counts},
                    "area": int(one.mask().sum()),
                    "bbox": list(one.box_xywh),
                    "iscrowd": 0,
                    "score": one.record.score,
                    "track_id": one.id,
                }
            )
    dataset = {
        "info": {"description": f"made by masklet of {clip.path.name}"},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": label} for label, number in categories.items()],
    }
    write_whole(target, msgspec.json.encode(dataset))


def read_coco(source: Path) -> "LabelledFrames":
    """Instances as RLE or polygons, with `track_id`, at their own place or among their attributes.

    A frame's index is its image's `frame_id`, or the number in its file name.
    """
    import msgspec
    from masklet.runtime.convert.labelled_frame import LabelledFrame, frame_in

    dataset = msgspec.json.decode(source.read_bytes())
    labels = {one["id"]: one["name"] for one in dataset["categories"]}
    of_image: dict[int, list[dict[str, Any]]] = {one["id"]: [] for one in dataset["images"]}
    for one in dataset["annotations"]:
        of_image[one["image_id"]].append(one)
    images = [(one.get("frame_id", frame_in(one["file_name"])), one) for one in dataset["images"]]
    for index, image in sorted(images, key=lambda each: each[0]):
        hw = image["height"], image["width"]
        yield LabelledFrame(index, [_labelled(one, labels, hw) for one in of_image[image["id"]]])


def _labelled(one: dict[str, Any], labels: dict[int, str], hw: tuple[int, int]) -> "LabelledMask":
    from masklet.runtime.convert.labelled_frame import LabelledMask
    from masklet.runtime.errors import MasksError

    number = one.get("track_id", one.get("attributes", {}).get("track_id"))
    if number is None:
        raise MasksError(f"annotation {one['id']} has no track_id, which says whose mask it is")
    mask = _mask(one["segmentation"], hw)
    return LabelledMask(int(number), mask, labels[one["category_id"]], float(one.get("score", 1.0)))


def _mask(segmentation: Any, hw: tuple[int, int]) -> "BoolArray":
    import msgspec
    import numpy as np
    from masklet.runtime.convert.polygons import mask_of_polygons
    from masklet.runtime.errors import MasksError
    from masklet.runtime.pixels.coco_rle import CocoRle

    if isinstance(segmentation, list):
        return mask_of_polygons(segmentation, hw)
    if isinstance(segmentation["counts"], str):
        return msgspec.convert(segmentation, CocoRle).mask()
    runs, (height, width) = segmentation["counts"], segmentation["size"]
    if sum(runs) != height * width:
        raise MasksError(f"the runs of a mask do not fill its {width}x{height} pixels")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


FORMAT = Format("coco", "COCO instances as RLE, one file", ".coco.json", write_coco, read_coco)
