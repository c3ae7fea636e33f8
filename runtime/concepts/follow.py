"""One frame of the concept tracker: matches detections with tracks and updates these (V: _det_track_one_frame)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.concepts.associate import Association, associate, best_new
from masklet.runtime.concepts.delayed_results import PendingConcepts, Shown
from masklet.runtime.concepts.detector import Detections
from masklet.runtime.concepts.lifecycle import Lifecycle, Track
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.concepts.overlaps import BLANK, kept_share, recently_occluded
from masklet.runtime.pixels.geometry import F32, U8, masks_to_source
from masklet.runtime.pixels.mask_cleaning import clean
from masklet.runtime.pixels.packed_masks import PackedMasks, suppress
from masklet.runtime.tracking.masklets import VISIBLE, Decoded, Masklets
from masklet.runtime.tracking.memory_policy import Seen

FIRST_ID = 1  # Meta starts at 0, which is the background in a palette PNG


@dataclass(slots=True, eq=False)
class Propagated:
    """The tracks propagated to the current frame, one row per track.

    logits:         [N, h, w], mask logits with small holes and specks removed.
    visible:        [N], logit that the object is visible.
    pointers:       [N, channels], object pointers.
    seen:           what the memory policy looks at, as in Decoded.
    """

    tracks: list[Track]
    logits: F32
    visible: F32
    pointers: F32
    seen: list[Seen]
    packed: PackedMasks

    def groups(self) -> list[list[int]]:
        """The rows of each concept; overlaps are resolved within a concept only."""
        concepts = {track.concept for track in self.tracks}
        return [[row for row, t in enumerate(self.tracks) if t.concept == concept] for concept in concepts]

    def row(self, object_id: int) -> int:
        """The row of a track."""
        return next(row for row, track in enumerate(self.tracks) if track.object_id == object_id)

    def blank(self, row: int) -> None:
        """Mark a track as not visible."""
        self.logits[row] = BLANK
        self.packed.bits[row], self.packed.areas[row], self.packed.boxes[row] = 0, 0, 0


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The detections of a concept after non-maximum suppression, with their masks as bits."""

    detections: Detections
    packed: PackedMasks


class Follower:
    """The tracks of one stream from frame to frame."""

    def __init__(self, masklets: Masklets, life: Lifecycle, options: ConceptOptions) -> None:
        self._masklets, self._life, self._options = masklets, life, options
        self.next_id = FIRST_ID
        self._detected_at: int | None = None
        self._latest: dict[int, F32] = {}

    def update(
        self, pending: PendingConcepts, detections: Sequence[Detections | None], looked: bool = True
    ) -> set[int]:
        """Propagate the tracks to the current frame, match them with the detections, and start new tracks.

        pending: receives the objects to show.
        detections: of each concept; None if the detector did not run for it.
        looked:     whether the frame was one for the detector; otherwise the tracks are only propagated, and no rule
                 counts the frame.
        Returns the ids of tracks removed as false positives. Tracks that were not detected for too long are dropped,
        too, but are not returned.
        """
        tracks = self._propagate()
        asked = {concept: self._suppressed(one) for concept, one in enumerate(detections) if one is not None}
        associations = {concept: self._associate(concept, one, tracks) for concept, one in asked.items()}
        removed, hidden = self._judge(associations, tracks) if looked else (set(), self._life.hidden())
        pinned = self._reconditioned(associations, asked, tracks)
        if self._options.occlusion_overlap > 0:
            self._blank_recently_occluded(tracks)
        self._remember(tracks, pinned)
        self._show(tracks, {concept: one.detections.presence for concept, one in asked.items()}, pending)
        for concept, association in associations.items():
            self._begin(concept, asked[concept].detections.take(association.new), pending)
        if looked:
            self._detected_at = self._masklets.time
        for object_id in removed | self._life.gone():
            self._masklets.bank.forget(object_id)
            self._life.remove(object_id)
        pending.hidden |= hidden
        pending.unconfirmed |= self._life.unconfirmed()
        return removed

    def logits(self, object_id: int) -> F32 | None:
        """The mask logits [h, w] of an object on the current frame; None if the frame does not have the object."""
        return self._latest.get(object_id)

    def show(self, track: Track, logits: F32, visible: float, presence: float | None, pending: PendingConcepts) -> None:
        """Add an object of the current frame to the result."""
        self._latest[track.object_id] = logits
        pending.shown[track.object_id] = Shown.of(logits, visible, track.score, track.concept, presence)

    def _show(self, tracks: Propagated, presence: Mapping[int, float], pending: PendingConcepts) -> None:
        self._latest.clear()
        for row, track in enumerate(tracks.tracks):
            visible = float(1.0 / (1.0 + np.exp(-np.float64(tracks.visible[row]))))
            there = None if track.concept is None else presence.get(track.concept)
            self.show(track, tracks.logits[row], visible, there, pending)

    def _suppressed(self, detections: Detections) -> Candidates:
        """Non-maximum suppression of the detections of a concept (V: nms_masks)."""
        packed = PackedMasks.of(detections.logits)
        kept = suppress(packed.iou(packed), detections.scores, self._options.suppress_overlap)
        return Candidates(detections.take(kept), packed[kept])

    def _propagate(self) -> Propagated:
        """Track every object from its memories to the current frame."""
        rows = {object_id: row for row, object_id in enumerate(self._life.tracks)}
        decoded = self._masklets.tracked(rows, self._options.object_batch)
        if not decoded:
            none = np.zeros((0, 1, 1), np.float32)
            return Propagated([], none, none[:, 0, 0], none[:, 0], [], PackedMasks.of(none))
        places = [rows[object_id] for one in decoded for object_id in one.object_ids]
        parts = [(one.low_res[:, 0], one.score[:, 0], one.pointer) for one in decoded]
        logits, visible, pointers = (_in_rows(places, each) for each in zip(*parts, strict=True))
        seen = dict(zip(places, (each for one in decoded for each in one.seen), strict=True))
        clean(logits, self._options.clean_area)
        tracks, in_order = list(self._life.tracks.values()), [seen[row] for row in range(len(seen))]
        return Propagated(tracks, logits, visible, pointers, in_order, PackedMasks.of(logits))

    def _associate(self, concept: int, candidates: Candidates, tracks: Propagated) -> Association:
        """Match the detections of a concept with its tracks, and with tracks that a user added to no concept."""
        detections = candidates.detections
        rows = [row for row, track in enumerate(tracks.tracks) if track.concept in (concept, None)]
        mine, ids = tracks.packed[rows], [tracks.tracks[row].object_id for row in rows]
        association = associate(detections.scores, candidates.packed.iou(mine), ids, mine.nonempty, self._options)
        room = self._options.max_objects - len(self._life.of(concept))
        return replace(association, new=best_new(association.new, detections.scores, room))

    def _judge(self, associations: dict[int, Association], tracks: Propagated) -> tuple[set[int], set[int]]:
        in_sight, time = zip(tracks.tracks, tracks.packed.nonempty, strict=True), self._masklets.time
        return self._life.judge(
            time,
            [ids for one in associations.values() for ids in one.matched],
            {object_id for one in associations.values() for object_id in one.unmatched},
            {track.object_id for track, there in in_sight if not there},
            1 if self._detected_at is None else time - self._detected_at,
        )

    def _reconditioned(
        self, associations: dict[int, Association], asked: dict[int, Candidates], tracks: Propagated
    ) -> set[int]:
        """Rows of the tracks that high-score detections confirm; they take the object pointer of the detection
        (V 440-500).

        Their memory is still made of their own masks, since it is encoded after this step (V 770).
        """
        every, last = self._options.recondition_every, -1 if self._detected_at is None else self._detected_at
        if not every or self._masklets.time // every == last // every:
            return set()
        pinned = {}
        for concept, association in associations.items():
            for object_id, detection in association.confirmed.items():
                row = tracks.row(object_id)
                if tracks.visible[row] > self._options.recondition_visible:
                    pinned[row] = asked[concept].detections.logits[detection]
        for row, logits in pinned.items():
            track = tracks.tracks[row]
            decoded = self._masklets.from_masks([track.object_id], self._enlarged(logits[None]), pinned=True)
            tracks.pointers[row] = decoded.pointer[0]
            since = self._masklets.time - self._options.refine_window
            track.detector_times = [*(t for t in track.detector_times if t >= since), self._masklets.time]
        return set(pinned)

    def _blank_recently_occluded(self, tracks: Propagated) -> None:
        for rows in tracks.groups():
            mine = tracks.packed[rows]
            last = np.array([tracks.tracks[row].last_occluded for row in rows], np.int64)
            blanked = recently_occluded(mine.iou(mine), last, self._options.occlusion_overlap)
            for place, row in enumerate(rows):
                if blanked[place]:
                    tracks.blank(row)
                if not tracks.packed.areas[row]:
                    tracks.tracks[row].last_occluded = self._masklets.time

    def _remember(self, tracks: Propagated, pinned: set[int]) -> None:
        """Encode every track into memory; a track that keeps hardly any pixel of its own is stored as absent."""
        absent: set[int] = set()
        for rows in tracks.groups():
            mine = tracks.packed[rows]
            kept = kept_share([tracks.logits[row] for row in rows], mine.boxes, mine.areas)
            absent |= {row for row, share in zip(rows, kept, strict=True) if share < self._options.min_kept_share}
        plain = [row for row in range(len(tracks.tracks)) if row not in pinned]
        for rows, pin in ((plain, False), (sorted(pinned), True)):
            for start in range(0, len(rows), self._options.object_batch):
                self._remember_batch(tracks, rows[start : start + self._options.object_batch], absent, pin)

    def _remember_batch(self, tracks: Propagated, rows: list[int], absent: set[int], pinned: bool) -> None:
        low_res = tracks.logits[rows][:, None]
        for place, row in enumerate(rows):
            if row in absent:
                np.minimum(low_res[place], BLANK, out=low_res[place])
        decoded = Decoded(
            [tracks.tracks[row].object_id for row in rows],
            low_res,
            _in_sight(low_res),
            tracks.pointers[rows],
            [tracks.seen[row] for row in rows],
            prompted=False,
            pinned=pinned,
        )
        self._masklets.remember(decoded, low_res)

    def _begin(self, concept: int, detections: Detections, pending: PendingConcepts) -> None:
        """Start a track for each new detection (V: _tracker_add_new_objects)."""
        ids = list(range(self.next_id, self.next_id + len(detections)))
        self.next_id += len(detections)
        shown = clean(detections.logits.copy(), self._options.clean_area)
        for object_id, logits, score in zip(ids, shown, detections.scores.tolist(), strict=True):
            track = self._life.begin(object_id, concept, self._masklets.time, score)
            track.detector_times.append(self._masklets.time)
            self.show(track, logits, score, detections.presence, pending)
        self._life.confirm_new(ids)
        low_res = _last_has_it(detections.logits)[:, None]
        for start in range(0, len(ids), self._options.object_batch):
            part = slice(start, start + self._options.object_batch)
            decoded = self._masklets.from_masks(ids[part], self._enlarged(detections.logits[part]), pinned=True)
            decoded.score = _in_sight(low_res[part])
            self._masklets.remember(decoded, low_res[part])

    def _enlarged(self, logits: F32) -> U8:
        """Masks of logits [N, h, w] at the size that the mask prompt encoder takes."""
        return masks_to_source(logits, self._masklets.mask_hw).view(np.uint8)


def _in_rows(places: Sequence[int], parts: Sequence[Tensor]) -> Tensor:
    """Concatenate the arrays of several batches, with each row at its place."""
    joined = np.concatenate(parts)
    return joined if list(places) == sorted(places) else joined[np.argsort(places)]


def _in_sight(low_res: F32) -> F32:
    """Visibility logit of masks [N, 1, h, w], by whether they have any pixel; [N, 1] (V: object_score_logits)."""
    there = (low_res > 0).any(axis=(1, 2, 3))
    return np.where(there, VISIBLE, -VISIBLE).astype(np.float32)[:, None]


def _last_has_it(logits: F32) -> F32:
    """Give pixels shared by objects that start on the same frame to the last one (sam3_tracking_predictor.py 422)."""
    cut = logits.copy()
    taken = np.zeros(logits.shape[1:], np.bool_)
    for logit, own in zip(logits[::-1], cut[::-1], strict=True):
        own[taken] = BLANK
        taken |= logit > 0
    return cut
