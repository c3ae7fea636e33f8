"""Where memory attention looks: which remembered frames, and how much of it falls on the object's cells there."""

from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt
from masklet.calibration.diagnosis.observer.memory_shares import MEMORY_SHARES
from masklet.calibration.diagnosis.observer.observer import Observer
from masklet.calibration.diagnosis.observer.positions import Layout
from masklet.runtime.bundle.spec import Tensor

BoolArray = npt.NDArray[np.bool_]
ASKING = 16  # of the object's cells that ask
FINGERPRINT = 97  # every so many numbers of a memory tell it apart


class Attention(msgspec.Struct, frozen=True):
    """Shares of memory attention's weights, mean over layers, heads and the object's cells that ask.

    on_object: on the object's cells of all remembered frames. by_frame: on each remembered frame as a whole. pointers:
    on object pointers. They are parts of 1; what is missing to it lies on frames that are no longer known.
    """

    on_object: float
    by_frame: dict[int, float]
    pointers: float


class MemoryFrames:
    """Which frame each attended memory is of. Memories are known by their numbers, whatever the policy keeps."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._frames: dict[bytes, int] = {}
        self._cells: dict[int, BoolArray] = {}

    def keep(self, frame: int, observer: Observer, cells: BoolArray) -> None:
        """Note the memory that a frame became. cells: the object's, on the memory's grid."""
        memory = observer.outputs["memory_encoder"]["new_memory"][0]
        self._frames[_fingerprint(memory)] = frame
        self._cells[frame] = cells

    def attended(self, observer: Observer) -> tuple[Mapping[int, int], Attention | None]:
        """The frames that were attended to, with the row of each memory, and the shares, if they were asked for."""
        feeds = observer.feeds.get("memory_attention")
        if feeds is None:
            return {}, None
        known = [self._frames.get(_fingerprint(memory)) for memory in feeds["memory"][0]]
        rows = {frame: row for row, frame in enumerate(known) if frame is not None}
        shares = observer.outputs["memory_attention"].get(MEMORY_SHARES)
        return rows, None if shares is None else self._shares(shares[0], rows)

    def _shares(self, shares: Tensor, rows: Mapping[int, int]) -> Attention:
        placed = shares[:, self._layout.placeless :]
        on_object = sum(float(placed[row][self._cells[frame]].sum()) for frame, row in rows.items())
        by_frame = {frame: float(shares[row].sum()) for frame, row in sorted(rows.items())}
        return Attention(on_object, by_frame, max(0.0, 1.0 - float(shares.sum())))


def asking_cells(cells: BoolArray) -> list[int]:
    """At most ASKING of the object's cells, evenly; the first cell of all where it has none."""
    chosen = np.flatnonzero(cells)
    if not len(chosen):
        return [0]
    every = np.linspace(0, len(chosen) - 1, min(ASKING, len(chosen))).round().astype(int)
    return [int(cell) for cell in chosen[every]]


def _fingerprint(memory: Tensor) -> bytes:
    return np.ascontiguousarray(np.asarray(memory).ravel()[::FINGERPRINT]).tobytes()
