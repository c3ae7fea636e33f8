"""Matches detections of a concept with existing tracks, and finds the new ones (V: _associate_det_trk)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.pixels.geometry import F32, BoolArray


@dataclass(frozen=True, slots=True)
class Association:
    """Detections and tracks of one concept on one frame, matched.

    new:       indices of detections that match no track.
    matched:   for each detection the ids of the tracks that it matches; there may be several.
    unmatched: ids of visible tracks that no detection matches.
    confirmed: track id -> index of a detection with a high score and nearly the same mask.
    """

    new: list[int]
    matched: list[list[int]] = field(default_factory=list)
    unmatched: list[int] = field(default_factory=list)
    confirmed: dict[int, int] = field(default_factory=dict)


def associate(
    scores: F32, ious: F32, object_ids: Sequence[int], in_sight: BoolArray, options: ConceptOptions
) -> Association:
    """Match N detections with M tracks of the same concept.

    scores:     [N], scores of the detections.
    ious:       [N, M], mask IoU of each detection with each track.
    object_ids: [M], ids of the tracks.
    in_sight:   [M], whether the mask of a track is not empty.
    One detection may match several tracks; there is no one-to-one assignment. If there is no track, every detection is
    new, whatever its score.
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
    """The new detections if there is room for all; otherwise those with the highest scores, in descending order.

    new: indices of detections; scores: [N], of all detections; room: maximum number.
    """
    if len(new) <= room:
        return list(new)
    return sorted(new, key=lambda n: -float(scores[n]))[: max(0, room)]
