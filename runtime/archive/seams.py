"""Ids of objects over the seams of segments: the same phrase, and masks that overlap by more than half.

Instances of a phrase share no pixels, so on one frame no instance overlaps two others by more than half, and no
assignment has to be solved (Kirillov et al., "Panoptic Segmentation", CVPR 2019, section 4.1). Over several frames the
pair that shares most pixels is matched first.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from masklet.runtime.archive.segments import Segment

MATCHED = 0.5
Line = dict[str, Any]  # a frame, as a masks file has it
Objects = list[dict[str, Any]]
Pixels = Counter[tuple[int, int]]  # of pairs of objects: id in the later segment, id in the earlier one


def stitched(parts: Sequence[tuple[Segment, Path]]) -> Iterator[Line]:
    """The frames of a video, each once, from its segments in order and their masks files.

    The first segment keeps its ids; of the others, an object that overlaps none of the segment before gets the next
    free id. The score of an object is that of its first detection.
    """
    seam: dict[int, Objects] = {}
    scores: dict[int, float] = {}
    followers = [segment for segment, _ in parts[1:]]
    for (segment, path), following in zip(parts, [*followers, None], strict=True):
        ids = same_objects(seam, {line["frame"]: line["objects"] for line in _lines(path, segment.start, segment.own)})
        seam = {}
        for line in _lines(path, segment.own, None if following is None else following.own):
            for one in line["objects"]:
                if one["id"] not in ids:
                    ids[one["id"]] = max(scores, default=0) + 1 if segment.number else one["id"]
                one["id"] = ids[one["id"]]
                one["score"] = scores.setdefault(one["id"], one["score"])
            line["objects"].sort(key=lambda one: one["id"])
            if following is not None and line["frame"] >= following.start:
                seam[line["frame"]] = line["objects"]
            yield line


def same_objects(seam: Mapping[int, Objects], others: Mapping[int, Objects]) -> dict[int, int]:
    """The ids that objects of a segment have in the segment before it, by their own.

    seam, others: the objects on the frames that both ran, by index of the frame, in the segment before and in this one.
    Only frames on which both see an object count for it.
    """
    shared, united = Pixels(), Pixels()
    for frame in seam.keys() & others.keys():
        _count(others[frame], seam[frame], shared, united)
    ids: dict[int, int] = {}
    for (other, mine), pixels in shared.most_common():
        if pixels > MATCHED * united[other, mine] and other not in ids and mine not in ids.values():
            ids[other] = mine
    return ids


def _count(others: Objects, seam: Objects, shared: Pixels, united: Pixels) -> None:
    """Add what objects of one phrase share on a frame, and what they cover together."""
    from pycocotools import mask as coco

    for other in others:
        for mine in seam:
            pair = [other["segmentation"], mine["segmentation"]]
            if other.get("phrase") == mine.get("phrase") and other["bbox"][2] and mine["bbox"][2]:
                key = other["id"], mine["id"]
                shared[key] += int(coco.area(coco.merge(pair, intersect=True)))
                united[key] += int(coco.area(coco.merge(pair)))


def _lines(path: Path, start: int, end: int | None) -> Iterator[Line]:
    """The frames of a masks file from one index on, before another."""
    with path.open("rb") as file:
        for raw in file:
            line = json.loads(raw)
            if end is not None and line["frame"] >= end:
                return
            if line["frame"] >= start:
                yield line
