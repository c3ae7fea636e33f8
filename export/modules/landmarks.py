"""EfficientTAM's efficient memory attention: with several memories, to landmarks, the means of 2 x 2 cells.

EfficientRoPEAttention1 and EfficientRoPEAttention2 of its authors (sam/transformer.py 317, 430). A single memory is
attended to cell by cell, so the number of tokens is no multiple of the number of memories; slices whose ends follow
from it choose between the two.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from masklet.export.modules.memories import MemoryAttention, MemoryAttentionLayer
from masklet.export.modules.memory_tokens import weighted_mean
from torch import Tensor, nn

CELLS = 4  # of a landmark


class CellsOrLandmarks(nn.Module):
    """The cells of a single memory, or the landmarks of several."""

    start: Tensor
    axis: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("start", torch.zeros(1, dtype=torch.int64))
        self.register_buffer("axis", torch.ones(1, dtype=torch.int64))

    def forward(self, cells: Tensor, landmarks: Tensor) -> Tensor:
        """cells: [objects, memories, positions, C]; landmarks: a quarter as many. Returns [objects, tokens, C]."""
        if not torch.onnx.is_in_onnx_export():
            return (cells if cells.shape[1] == 1 else landmarks).flatten(1, 2)
        memories = torch.onnx.ops.symbolic(
            "Shape", [cells], {"start": 1, "end": 2}, dtype=torch.int64, shape=(1,), version=None
        )
        several = (memories - 1).clamp(max=1)
        first = self._beginning(cells.flatten(1, 2), (1 - several) * cells.shape[2])
        return torch.cat([first, self._beginning(landmarks.flatten(1, 2), several * memories * landmarks.shape[2])], 1)

    def _beginning(self, tokens: Tensor, count: Tensor) -> Tensor:
        """The first tokens of [objects, tokens, C]; torch is told that it is all of them, and need not know."""
        kept: Tensor = torch.onnx.ops.symbolic(
            "Slice", [tokens, self.start, count, self.axis], dtype=tokens.dtype, shape=tokens.shape, version=None
        )
        return kept


class ShiftedLayer(MemoryAttentionLayer):
    """A layer whose landmarks have ln 4 added to every channel of their keys."""

    shift = math.log(CELLS)

    def __init__(self, *given: Any) -> None:
        """given: as of the layer that it is made from."""
        super().__init__(*given)
        self.choose = CellsOrLandmarks()

    def attended_keys(self, turned: Tensor) -> Tensor:
        """turned: [objects, memories, positions, C], rotated. Returns [objects, tokens, C]."""
        return self.choose(turned, landmarks(turned) + self.shift)  # type: ignore[no-any-return]


class CountedLayer(ShiftedLayer):
    """A layer whose landmarks have ln 4 added to their scores, and so count as four in the softmax.

    Scores stay within the fused kernel: values are multiplied by their weight instead (see `TokenMemoryAttention`).
    """

    shift = 0.0

    def mixed(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """values: [objects, tokens, heads * 65], each times its weight, and then that."""
        return weighted_mean(query, keys, values, self.heads, self.scale)


class ShiftedLandmarkAttention(MemoryAttention):
    """The memory attention with EfficientRoPEAttention2."""

    layer = ShiftedLayer

    def __init__(self, model: Any, neck: Any, grid: tuple[int, int]) -> None:
        """model: EfficientTamModel. neck: what has its position encoding. grid: rows and columns."""
        super().__init__(model, neck, grid)
        self.choose = CellsOrLandmarks()

    def attended_values(self, memory: Tensor, pointers: Tensor) -> Tensor:
        """Means of what cells hold are means of their values: projections are linear."""
        return torch.cat([self.choose(memory, landmarks(memory)), pointers], dim=1)


class CountedLandmarkAttention(ShiftedLandmarkAttention):
    """The memory attention with EfficientRoPEAttention1."""

    layer = CountedLayer

    def attended_values(self, memory: Tensor, pointers: Tensor) -> Tensor:
        """With the weight of each beside it: 4 of a landmark, 1 of a cell or a pointer."""
        many = F.pad(landmarks(memory) * CELLS, (0, 1), value=float(CELLS))
        spatial = self.choose(F.pad(memory, (0, 1), value=1.0), many)
        return torch.cat([spatial, F.pad(pointers, (0, 1), value=1.0)], dim=1)


def landmarks(memory: Tensor) -> Tensor:
    """Means of squares of 2 x 2 cells. memory: [objects, memories, edge * edge, C]. Returns a quarter as many.

    First of two rows and then of two columns: reductions of contiguous channels, which engines do fast.
    """
    objects, memories, positions, channels = memory.shape
    rows = memory.reshape(-1, 2, math.isqrt(positions) * channels).mean(dim=1)
    squares = rows.reshape(-1, 2, channels).mean(dim=1)
    return squares.reshape(objects, memories, positions // CELLS, channels)
