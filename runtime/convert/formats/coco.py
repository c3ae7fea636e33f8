"""COCO: instances as RLE, with the object's id as `track_id`; pycocotools and what builds on it read them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from masklet.runtime.convert.format import Format

if TYPE_CHECKING:
    from masklet.runtime.convert.clip_results import ClipResults


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


FORMAT = Format("coco", "COCO instances as RLE, one file", ".coco.json", write_coco)
