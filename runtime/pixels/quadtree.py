"""The blocks of a map of cells: single cells, then squares of 2 x 2, 4 x 4, ... of them, each with a number."""

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


class Quadtree:
    """Every aligned square block of a map, numbered: the cells row by row, then the blocks of 2 x 2, and so on.

    Blocks at the lower and right border are cut off where the map ends. The largest blocks are those of which the
    shorter side of the map still holds two.

    edge, cells, parent: [blocks] int64: cells along a side, cells within the map, the number of the block of twice the
                         edge around it; a block of the largest edge has itself for a parent.
    padding:             the number after the last block, which stands for no block at all.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.edges = [1 << level for level in range(max(1, min(rows, columns).bit_length() - 1))]
        self.shapes = [(-(-rows // e), -(-columns // e)) for e in self.edges]
        self.starts = np.cumsum([0, *(r * c for r, c in self.shapes)]).tolist()
        self.padding = self.starts[-1]
        self.edge = np.repeat(self.edges, np.diff(self.starts))
        self.cells = np.concatenate([self._sizes(e) for e in self.edges])
        self.parent = np.concatenate([self._parents(level) for level in range(len(self.edges))])

    def blocks(self, edge: int) -> I64:
        """The numbers of the blocks of an edge."""
        level = self.edges.index(edge)
        return np.arange(self.starts[level], self.starts[level + 1])

    def sums(self, values: F32) -> F32:
        """The sum over each block. values: [rows, columns, C] float32. Returns [blocks, C]."""
        found = [values]
        for rows, columns in self.shapes[1:]:
            even = np.zeros((2 * rows, 2 * columns, values.shape[2]), np.float32)
            even[: found[-1].shape[0], : found[-1].shape[1]] = found[-1]
            found.append(even.reshape(rows, 2, columns, 2, -1).sum(axis=(1, 3)))
        return np.concatenate([level.reshape(-1, values.shape[2]) for level in found])

    def _sizes(self, edge: int) -> I64:
        down, right = (np.minimum(edge, n - np.arange(0, n, edge)) for n in (self.rows, self.columns))
        return np.asarray(np.outer(down, right).ravel(), np.int64)

    def _parents(self, level: int) -> I64:
        (rows, columns), start = self.shapes[level], self.starts[level]
        numbers = np.arange(rows * columns)
        if level + 1 == len(self.edges):
            return np.asarray(numbers + start, np.int64)
        row, column = np.divmod(numbers, columns)
        return np.asarray(row // 2 * self.shapes[level + 1][1] + column // 2 + self.starts[level + 1], np.int64)
