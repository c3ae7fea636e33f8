"""Shrinks one axis of 8-bit images with an exact triangle filter, by small matrix products.

Antialiased bilinear resizing does this along an axis that shrinks (Pillow's BILINEAR, and torch's interpolate with
antialias=True, aten UpSampleKernel.cpp): output i is the mean of the inputs around its centre, weighted by a triangle
whose half width is the scale. OpenCV has no such filter: its INTER_LINEAR always takes two inputs, its INTER_AREA uses
a box.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]

ROWS = 12  # output rows per product: more rows waste work on zero weights, fewer rows need more calls
MAX_PRODUCT = 500_000  # multiplications; above 2**19 OpenBLAS starts its threads, which costs more than it gains


@dataclass(frozen=True, slots=True)
class _Block:
    """Output rows out0..out1 are `weights` [out1 - out0, in1 - in0] times input rows in0..in1."""

    out0: int
    out1: int
    in0: int
    in1: int
    weights: F32


class RowShrinker:
    """Shrinks n_in rows of `columns` bytes to n_out rows, n_out < n_in. Has buffers; not safe for several threads."""

    def __init__(self, n_in: int, n_out: int, columns: int) -> None:
        self._blocks = _blocks(n_in, n_out)
        longest = max(block.in1 - block.in0 for block in self._blocks)
        width = min(columns, max(1, MAX_PRODUCT // (ROWS * longest)))
        self._spans = [(c, min(c + width, columns)) for c in range(0, columns, width)]
        self._taken = np.empty((longest, width), np.float32)
        self._mixed = np.empty((ROWS, width), np.float32)

    def bind(self, source: U8, target: U8) -> "Shrink":
        """Prepare for two arrays that are used repeatedly.

        source: [n_in, columns] uint8. target: [n_out, columns] uint8, receives the rounded means.
        """
        steps = []
        for block in self._blocks:
            for first, last in self._spans:
                taken = self._taken[: block.in1 - block.in0, : last - first]
                mixed = self._mixed[: block.out1 - block.out0, : last - first]
                given, asked = source[block.in0 : block.in1, first:last], target[block.out0 : block.out1, first:last]
                steps.append((given, taken, block.weights, mixed, asked))
        return Shrink(steps)


class Shrink:
    """A shrinker with its arrays; a call shrinks the current content of the source array."""

    def __init__(self, steps: list[tuple[U8, F32, F32, F32, U8]]) -> None:
        self._steps = steps

    def __call__(self) -> None:
        for given, taken, weights, mixed, asked in self._steps:
            np.copyto(taken, given)
            np.matmul(weights, taken, out=mixed)
            cv2.convertScaleAbs(mixed, dst=asked)  # rounds; no value is negative


def triangle_weights(n_in: int, n_out: int) -> F32:
    """The filter as a matrix [n_out, n_in] whose rows sum to 1."""
    scale = n_in / n_out
    centres = (np.arange(n_out)[:, None] + 0.5) * scale
    distances = np.abs(np.arange(n_in)[None, :] + 0.5 - centres) / scale
    weights = np.maximum(0.0, 1.0 - distances)
    normalised: F32 = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised


def _blocks(n_in: int, n_out: int) -> list[_Block]:
    weights = triangle_weights(n_in, n_out)
    blocks = []
    for out0 in range(0, n_out, ROWS):
        rows = weights[out0 : out0 + ROWS]
        used = np.flatnonzero(rows.any(axis=0))
        in0, in1 = int(used[0]), int(used[-1]) + 1
        blocks.append(_Block(out0, out0 + len(rows), in0, in1, np.ascontiguousarray(rows[:, in0:in1])))
    return blocks
