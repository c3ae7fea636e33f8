"""YOLO: a text file per frame with a polygon per object, as Ultralytics trains segmentation on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from masklet.runtime.convert.format import Format

if TYPE_CHECKING:
    import numpy as np
    from masklet.runtime.convert.clip_results import ClipObject, ClipResults

    Points = np.ndarray[Any, np.dtype[np.int64]]


def write_yolo(clip: "ClipResults", target: Path) -> None:
    """A folder: labels/*.txt by the names of pictures, and data.yaml with the classes' names.

    A polygon has no holes, and knows no object's id; several parts of a mask become one polygon by bridges of no width.
    """
    import json

    from masklet.runtime.sinks.output_file import write_whole

    labels = target / "labels"
    labels.mkdir()
    for frame in clip:
        lines = [_line(one, clip.labels.index(one.label), clip.hw) for one in frame.objects]
        write_whole(labels / f"{Path(frame.image).stem}.txt", "".join(filter(None, lines)).encode())
    names = "".join(f"  {number}: {json.dumps(label)}\n" for number, label in enumerate(clip.labels))
    write_whole(target / "data.yaml", f"path: .\ntrain: images\nval: images\nnames:\n{names}".encode())


def _line(one: "ClipObject", label: int, hw: tuple[int, int]) -> str | None:
    """Class and polygon, x and y as shares of width and height; None for a mask too small to have an outline."""
    outline = _outline(one.mask())
    if outline is None:
        return None
    height, width = hw
    shares = [f"{x / width:.6f} {y / height:.6f}" for x, y in outline.tolist()]
    return f"{label} {' '.join(shares)}\n"


def _outline(mask: Any) -> "Points | None":
    """The outer contours [N, 2] of a mask as one polygon, from each to the nearest point of those before it."""
    import cv2
    import numpy as np

    found, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    parts = sorted((np.asarray(part)[:, 0] for part in found if len(part) > 2), key=len, reverse=True)
    if not parts:
        return None
    outline = parts[0].astype(np.int64)
    for part in parts[1:]:
        distances = ((outline[:, None] - part[None]) ** 2).sum(axis=2)
        here, there = np.unravel_index(int(distances.argmin()), distances.shape)
        turned = np.roll(part, -int(there), axis=0)
        outline = np.concatenate([outline[: here + 1], turned, turned[:1], outline[here:]])
    return outline


FORMAT = Format("yolo", "polygons as Ultralytics has them, a folder", ".yolo/", write_yolo)
