"""Which detections of a concept are tracks that are there already, and which are new (V: _associate_det_trk)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.pixels.geometry import F32, BoolArray


@dataclass(frozen=True, slots=True)
class Association:
    """What the detections of one concept say of its tracks on one frame.

    new:       detections that are no track, by index.
    matched:   for each detection the ids of the tracks that it is; one detection may be several.
    unmatched: ids of tracks in sight that no detection covers.
    confirmed: id of a track -> the detection, sure and nearly the same mask, that says it is right.
    """

    new: list[int]
    matched: list[list[int]] = field(default_factory=list)
    unmatched: list[int] = field(default_factory=list)
    confirmed: dict[int, int] = field(default_factory=dict)


def associate(
    scores: F32, ious: F32, object_ids: Sequence[int], in_sight: BoolArray, options: ConceptOptions
) -> Association:
    """Compare N detections with M tracks of the same concept.

    scores: [N], of the detections; ious: [N, M]; object_ids, in_sight: of the tracks, and whether their masks are not
    empty. Any number of tracks may be one detection: nothing is assigned one to one. Without any track every detection
    is new, whatever its score.
    """
    if not len(object_ids):
        return Association(list(range(len(scores))))
    is_match = ious >= np.float32(options.match_overlap)
    is_new = (scores >= np.float32(options.new_score)) & ~is_match.any(axis=1)
    covered = (ious >= np.float32(options.track_overlap)).any(axis=0)
    sure = (scores >= np.float32(options.recondition_score)) & ~is_new
    sure &= ious.max(axis=1) >= np.float32(options.recondition_overlap)
    nearest = ious.argmax(axis=1)
    return Association(
        new=np.flatnonzero(is_new).tolist(),
        matched=[[object_ids[m] for m in np.flatnonzero(row).tolist()] for row in is_match],
        unmatched=[object_ids[m] for m in np.flatnonzero(in_sight & ~covered).tolist()],
        confirmed={object_ids[nearest[n]]: n for n in np.flatnonzero(sure).tolist()},
    )


def best_new(new: Sequence[int], scores: F32, room: int) -> list[int]:
    """The new detections where there is room for all; otherwise the best of them, the best first.

    new: detections by index; scores: [N], of all detections.
    """
    if len(new) <= room:
        return list(new)
    return sorted(new, key=lambda n: -float(scores[n]))[: max(0, room)]
