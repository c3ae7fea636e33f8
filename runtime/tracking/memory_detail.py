"""How much of a memory is kept: every cell, equal blocks of cells, or blocks that are fine where something is.

For models whose memories are sets of tokens (`ModelSpec.token_memory`): a token is a block of a Quadtree over the
feature map, kept as its content [64] and its number. All memories of a tracker have equally many tokens, whatever the
size of the object: shapes are fixed, batches go together, and latency is known in advance.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from masklet.runtime.bundle.spec import ModelSpec, Tensor
from masklet.runtime.errors import PromptError
from masklet.runtime.pixels.quadtree import F32, I64, Quadtree
from typing_extensions import Self

Layout = Literal["whole", "pooled", "foveated"]
FORMS = "whole, pooled:2, pooled:4, foveated or foveated:TOKENS"


@dataclass(frozen=True, slots=True)
class MemoryDetail:
    """What each memory keeps.

    layout: "whole": every cell. "pooled": blocks of `number` x `number` cells. "foveated": `number` blocks, see
            `Foveation`; None for `usual_tokens`.
    """

    layout: Layout = "foveated"
    number: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `whole`, `pooled:2`, `foveated` or `foveated:640`. Raises PromptError for anything else."""
        layout, _, number = text.partition(":")
        takes = {"whole": not number, "pooled": number.isdecimal(), "foveated": number.isdecimal() or not number}
        if not takes.get(layout) or (number and int(number) < 1):
            raise PromptError(f"memory detail {text!r}: wanted {FORMS}")
        return cls(cast(Layout, layout), int(number) if number else None)

    def __str__(self) -> str:
        return self.layout if self.number is None else f"{self.layout}:{self.number}"


class BlockMemory:
    """Memories as blocks of cells. tokens: of each memory.

    Raises PromptError for a detail that the model's feature map does not have.
    """

    def __init__(self, rows: int, columns: int, detail: MemoryDetail) -> None:
        """rows, columns: of the feature map."""
        self._tree = tree = Quadtree(rows, columns)
        self._choose: Callable[[F32, F32], I64]
        if detail.layout == "foveated":
            self.tokens = min(detail.number or usual_tokens(rows, columns), rows * columns)
            self._choose = Foveation(tree, self.tokens)
            return
        edge = 1 if detail.layout == "whole" else detail.number
        if edge not in tree.edges:
            some = ", ".join(f"pooled:{edge}" for edge in tree.edges[1:])
            raise PromptError(f"memory detail {detail}: a map of {rows} x {columns} cells has {some}")
        same = tree.blocks(edge)
        self.tokens, self._choose = len(same), lambda sums, squares: same

    def __call__(self, memory: Tensor) -> tuple[F32, I64]:
        """What is kept of a memory of single cells.

        memory: [cells, channels] float32. Returns the means of blocks [tokens, channels] and their numbers [tokens];
        the mean of padding is 0.
        """
        tree = self._tree
        cells = np.asarray(memory, np.float32).reshape(tree.rows, tree.columns, -1)
        squares = np.square(cells).sum(axis=2, keepdims=True)
        sums = tree.sums(np.concatenate([cells, squares], axis=2))
        blocks = self._choose(sums[:, :-1], sums[:, -1])
        kept = blocks[blocks < tree.padding]
        means = np.zeros((self.tokens, sums.shape[1] - 1), np.float32)
        means[: len(kept)] = sums[kept, :-1] / tree.cells[kept, None]
        return means, blocks


class Foveation:
    """A given number of blocks of a memory, fine where its content changes and coarse where it is alike.

    From the largest blocks on, that one is split into its quarters whose cells differ most from their mean, by the sum
    of squares, until there are as many as asked for. A memory holds the object's mask as well as the frame's features,
    so that the object and its outline are fine, and so is what else stands out: look-alikes, edges in the background.
    """

    def __init__(self, tree: Quadtree, tokens: int) -> None:
        fewest = len(tree.blocks(tree.edges[-1]))
        if tokens < fewest:
            raise PromptError(f"a memory of {tokens} tokens is too small; give {fewest} or more")
        self._tree, self._tokens, self._fewest = tree, tokens, fewest
        self._parents = np.flatnonzero(tree.edge > 1)
        self._is_child = tree.edge < tree.edges[-1]
        self._added = np.bincount(tree.parent[self._is_child], minlength=tree.padding)[self._parents] - 1

    def __call__(self, sums: F32, squares: F32) -> I64:
        """sums: [blocks, channels], of the cells of each block; squares: [blocks], of their squares.

        Returns [tokens] int64 in increasing order, with padding at the end.
        """
        tree, parents = self._tree, self._parents
        spread = squares[parents] - np.square(sums[parents]).sum(axis=1) / tree.cells[parents]
        order = np.lexsort((-tree.edge[parents], -spread))  # of equal ones the larger first: no child before its parent
        count = self._fewest + np.cumsum(self._added[order])
        split = np.zeros(tree.padding, bool)
        split[parents[order[: np.searchsorted(count, self._tokens, side="right")]]] = True
        kept = np.flatnonzero(np.where(self._is_child, split[tree.parent], True) & ~split)
        return np.pad(kept, (0, self._tokens - len(kept)), constant_values=tree.padding)


def usual_tokens(rows: int, columns: int) -> int:
    """An eighth of the cells, and as many as a row and a column have: room for an object of 8 % and its outline."""
    return rows * columns // 8 + rows + columns


def block_memory(model: ModelSpec, detail: MemoryDetail | None) -> BlockMemory | None:
    """What a model's memories keep; None where they are whole by themselves.

    Raises PromptError where a detail is asked of such a model.
    """
    if not model.token_memory:
        if detail is not None and detail.layout != "whole":
            raise PromptError(
                f"memory detail {detail}: memories of {model.family}/{model.variant} {model.form} are whole; export it "
                "with --foveated, and choose that variant"
            )
        return None
    return BlockMemory(*model.feature_hw, detail or MemoryDetail())
