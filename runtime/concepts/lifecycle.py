"""Rules that hide and remove tracks: hotstart, duplicates, keep-alive and confirmation (V: _process_hotstart).

Memory does not grow with the stream: counts exist for current tracks only, and for pairs only while the younger of the
two may still be removed.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.concepts.overlaps import NEVER


@dataclass(slots=True)
class Track:
    """A tracked object.

    concept:        index of its concept; None for an object that a user added while there are several concepts.
    born:           time of its first frame.
    found:          whether a detection started it, not a user.
    score:          score of its first detection; 1 once a user prompted it.
    keep_alive, unmatched, matched_running, unseen_running: counts of frames (ConceptOptions).
    last_occluded:  last time at which it was not visible.
    by_user:        a user prompted it: no rule removes or hides it.
    detector_times: times of the frames that are pinned in its memory because of a detection.
    """

    object_id: int
    concept: int | None
    born: int
    score: float
    keep_alive: int
    unmatched: int = 0
    matched_running: int = 0
    unseen_running: int = 0
    confirmed: bool = False
    last_occluded: int = NEVER
    by_user: bool = False
    detector_times: list[int] = field(default_factory=list)


class Lifecycle:
    """Every track of one stream, in the order in which they were added."""

    def __init__(self, options: ConceptOptions) -> None:
        self.tracks: dict[int, Track] = {}
        self._options = options
        self._shared: Counter[tuple[int, int]] = Counter()  # (older, younger): frames with one detection for both

    def of(self, concept: int) -> list[Track]:
        """The tracks of a concept."""
        return [track for track in self.tracks.values() if track.concept == concept]

    def begin(self, object_id: int, concept: int | None, time: int, score: float) -> Track:
        """Add a track."""
        track = Track(object_id, concept, time, score, self._options.keep_alive_start)
        self.tracks[object_id] = track
        return track

    def judge(
        self,
        time: int,
        matched: Iterable[Sequence[int]],
        unmatched: Collection[int],
        empty: Collection[int],
        frames: int = 1,
    ) -> tuple[set[int], set[int]]:
        """Count a frame, before its new objects are added. Returns the tracks to remove, and those hidden on the frame.

        matched:   for each detection the ids of the tracks that it matches.
        unmatched: ids of visible tracks that no detection matches.
        empty:     ids of tracks that are not visible.
        frames:    for how many frames it counts: those since the detector last ran.
        """
        matched = list(matched)
        for object_id in {i for ids in matched for i in ids}:
            track = self.tracks[object_id]
            track.keep_alive = min(self._options.keep_alive_max, track.keep_alive + frames)
        for object_id in unmatched:
            self.tracks[object_id].unmatched += frames
            self._wear(object_id, frames)
        if self._options.keep_alive_counts_empty:
            for object_id in empty:
                self._wear(object_id, frames)
        self._count_shared(matched, frames)
        seen = {i for ids in matched for i in ids}
        self._confirm(seen, frames)
        self._count_unseen({*unmatched, *empty} - seen, frames)
        young = [t for t in self.tracks.values() if t.born > time - self._options.hotstart and not t.by_user]
        removed = {t.object_id for t in young if t.unmatched >= self._options.hotstart_unmatched}
        removed |= self._duplicates({track.object_id for track in young})
        return removed, self.hidden() - removed

    def gone(self) -> set[int]:
        """Tracks that were not detected for `forget_after` frames; they are dropped, but were no false positives."""
        least = self._options.forget_after
        return {t.object_id for t in self.tracks.values() if 0 < least <= t.unseen_running and not t.by_user}

    def confirm_new(self, object_ids: Iterable[int]) -> None:
        """Count the current frame for tracks that started on it."""
        for object_id in object_ids:
            self._count_match(self.tracks[object_id])

    def remove(self, object_id: int) -> None:
        """Forget a track."""
        del self.tracks[object_id]
        for pair in [pair for pair in self._shared if object_id in pair]:
            del self._shared[pair]

    def unconfirmed(self) -> set[int]:
        """Tracks that have not been matched on enough frames yet to be shown."""
        if not self._options.confirm:
            return set()
        return {track.object_id for track in self.tracks.values() if not (track.confirmed or track.by_user)}

    def _wear(self, object_id: int, frames: int) -> None:
        track = self.tracks[object_id]
        track.keep_alive = max(self._options.keep_alive_min, track.keep_alive - frames)

    def _count_shared(self, matched: Iterable[Sequence[int]], frames: int) -> None:
        for ids in matched:
            if len(ids) > 1:
                elder = min(ids, key=lambda object_id: self.tracks[object_id].born)
                for object_id in {*ids} - {elder}:
                    self._shared[elder, object_id] += frames

    def _duplicates(self, young: set[int]) -> set[int]:
        """Young tracks that shared too many detections with an older one; pairs of two old tracks are dropped."""
        for pair in [pair for pair in self._shared if pair[1] not in young]:
            del self._shared[pair]
        return {pair[1] for pair, frames in self._shared.items() if frames >= self._options.hotstart_duplicates}

    def _confirm(self, matched: set[int], frames: int) -> None:
        for track in self.tracks.values():
            if track.object_id in matched:
                self._count_match(track, frames)
            else:
                track.matched_running = 0

    def _count_unseen(self, unseen: set[int], frames: int) -> None:
        for track in self.tracks.values():
            track.unseen_running = track.unseen_running + frames if track.object_id in unseen else 0

    def _count_match(self, track: Track, frames: int = 1) -> None:
        track.matched_running += frames
        track.confirmed |= track.matched_running >= self._options.confirm_frames

    def hidden(self) -> set[int]:
        """Tracks whose counter has run out."""
        if not self._options.hide_unmatched:
            return set()
        worn = (t for t in self.tracks.values() if t.unmatched and t.keep_alive <= 0 and not t.by_user)
        return {track.object_id for track in worn}
