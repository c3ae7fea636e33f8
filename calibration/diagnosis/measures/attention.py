"""Where memory attention looks: which remembered frames, and how much of it falls on the object's cells there."""

from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt
from masklet.calibration.diagnosis.observer.memory_shares import MEMORY_SHARES
from masklet.calibration.diagnosis.observer.observer import Observer
from masklet.calibration.diagnosis.observer.positions import Layout
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.pixels.quadtree import Quadtree

F32 = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
ASKING = 16  # of the object's cells that ask
SAME = 1e-3  # relative difference up to which two memories are one: means of blocks round otherwise than cells


class Attention(msgspec.Struct, frozen=True):
    """Shares of memory attention's weights, mean over layers, heads and the object's cells that ask.

    on_object: on the object's cells of all remembered frames. by_frame: on each remembered frame as a whole. pointers:
    on object pointers. They are parts of 1; what is missing to it lies on frames that are no longer known.
    """

    on_object: float
    by_frame: dict[int, float]
    pointers: float


class MemoryFrames:
    """Which frame each attended memory is of. Memories are known by their mean, whatever a policy keeps of them."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._tree = Quadtree(*layout.memory_grid)
        self._frames: list[int] = []
        self._means: list[F32] = []
        self._cells: dict[int, BoolArray] = {}

    def keep(self, frame: int, observer: Observer, cells: BoolArray) -> None:
        """Note the memory that a frame became, if it did. cells: the object's, on the memory's grid."""
        if "memory_encoder" not in observer.outputs:
            return
        memory = np.asarray(observer.outputs["memory_encoder"]["new_memory"][0], np.float32)
        self._frames.append(frame)
        self._means.append(memory.mean(axis=0))
        self._cells[frame] = cells

    def attended(self, observer: Observer) -> tuple[dict[int, int], Attention | None]:
        """The frames that were attended to, with the row of each memory, and the shares, if they were asked for."""
        feeds = observer.feeds.get("memory_attention")
        if feeds is None or not self._frames:
            return {}, None
        places = feeds["memory_place"][0] if "memory_place" in feeds else None
        frames = self._frames_of(np.asarray(feeds["memory"][0], np.float32), places)
        rows = {frame: row for row, frame in enumerate(frames) if frame is not None}
        shares = observer.outputs["memory_attention"].get(MEMORY_SHARES)
        return rows, None if shares is None else self._shares(shares[0], rows, places)

    def _frames_of(self, memories: F32, places: Tensor | None) -> list[int | None]:
        """The frame of each memory, the latest of those that are equal; None of one that is unknown.

        memories: [memories, tokens, channels]. places: [memories, tokens], the blocks of tokens that are blocks.
        """
        if places is None:
            means = memories.mean(axis=1)
        else:
            cells = np.append(self._tree.cells, 0)[places][:, None]
            means = (cells @ memories)[:, 0] / np.maximum(cells.sum(axis=2), 1)
        known = np.array(self._means[::-1])
        away = np.linalg.norm(known - means[:, None], axis=2)
        near = away.min(axis=1) <= SAME * (np.linalg.norm(means, axis=1) + SAME)
        return [self._frames[-1 - at] if found else None for at, found in zip(away.argmin(axis=1), near, strict=True)]

    def _shares(self, shares: Tensor, rows: Mapping[int, int], places: Tensor | None) -> Attention:
        """shares: [memories, tokens]."""
        on_object = 0.0
        for frame, row in rows.items():
            covered = self._cells[frame].astype(np.float32)
            if places is not None:  # the part of each block that is the object's
                sums = self._tree.sums(covered.reshape(*self._layout.memory_grid, 1))[:, 0]
                covered = np.append(sums / self._tree.cells, 0)[places[row]]
            on_object += float(shares[row, self._layout.placeless :] @ covered)
        by_frame = {frame: float(shares[row].sum()) for frame, row in sorted(rows.items())}
        return Attention(on_object, by_frame, max(0.0, 1.0 - float(shares.sum())))


def asking_cells(cells: BoolArray) -> list[int]:
    """At most ASKING of the object's cells, evenly; the first cell of all where it has none."""
    chosen = np.flatnonzero(cells)
    if not len(chosen):
        return [0]
    every = np.linspace(0, len(chosen) - 1, min(ASKING, len(chosen))).round().astype(int)
    return [int(cell) for cell in chosen[every]]
