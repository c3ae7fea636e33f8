"""States of a tracker along a clip, so that a correction need not begin at its first frame."""

from masklet.runtime.tracking.snapshot import TrackerSnapshot

EVERY = 8  # frames between two of them at first
BUDGET_BYTES = 256 << 20


class Checkpoints:
    """Snapshots by position. Where they grow too large, every second one is dropped, and fewer are taken."""

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self._budget_bytes = budget_bytes
        self._every = EVERY
        self._kept: dict[int, TrackerSnapshot] = {}

    def due(self, position: int) -> bool:
        """Whether a snapshot is to be taken after the frame of this position."""
        return position % self._every == 0

    def put(self, position: int, snapshot: TrackerSnapshot) -> None:
        """Keep a snapshot."""
        self._kept[position] = snapshot
        while len(self._kept) > 1 and sum(map(_bytes, self._kept.values())) > self._budget_bytes:
            self._every *= 2
            self._kept = {at: one for at, one in self._kept.items() if at % self._every == 0} or {position: snapshot}

    def before(self, position: int) -> tuple[int, TrackerSnapshot] | None:
        """The last snapshot that was taken at or before a position."""
        at = max((one for one in self._kept if one <= position), default=None)
        return None if at is None else (at, self._kept[at])

    def drop_from(self, position: int) -> None:
        """Forget the snapshots at and after a position."""
        self._kept = {at: one for at, one in self._kept.items() if at < position}


def _bytes(snapshot: TrackerSnapshot) -> int:
    return sum(one.spatial.values.nbytes + one.pointers.values.nbytes for one in snapshot.objects)
