"""How much of a memory is kept: every cell, equal blocks of cells, or fine blocks around the object and coarse ones.

For models whose memories are sets of tokens (`ModelSpec.token_memory`): a token is a block of a Quadtree over the
feature map, kept as its content [64] and its number. All memories of a tracker have equally many tokens, whatever the
size of the object: shapes are fixed, batches go together, and latency is known in advance.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self, cast

import cv2
import numpy as np
import numpy.typing as npt
from masklet.runtime.bundle.spec import ModelSpec, Tensor
from masklet.runtime.errors import PromptError
from masklet.runtime.pixels.quadtree import I64, Quadtree

Blocks = Callable[[Tensor], I64]
Layout = Literal["whole", "pooled", "foveated"]
FORMS = "whole, pooled:2, pooled:4, foveated or foveated:TOKENS"


@dataclass(frozen=True, slots=True)
class MemoryDetail:
    """What each memory keeps.

    layout: "whole": every cell. "pooled": blocks of `number` x `number` cells. "foveated": `number` blocks, single
            cells where the object is and the larger the further from it; None for `usual_tokens`.
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


class KeptBlocks:
    """The blocks that a model's memories keep.

    tokens: of each memory. choose: mask logits [h, w] of the object at low resolution -> numbers of blocks [tokens].
    Raises PromptError for a detail that the model's feature map does not have.
    """

    tokens: int
    choose: Blocks

    def __init__(self, rows: int, columns: int, detail: MemoryDetail) -> None:
        """rows, columns: of the feature map."""
        tree = Quadtree(rows, columns)
        if detail.layout == "foveated":
            self.tokens = min(detail.number or usual_tokens(rows, columns), rows * columns)
            self.choose = Foveation(tree, self.tokens)
            return
        edge = 1 if detail.layout == "whole" else detail.number
        if edge not in tree.edges:
            some = ", ".join(f"pooled:{edge}" for edge in tree.edges[1:])
            raise PromptError(f"memory detail {detail}: a map of {rows} x {columns} cells has {some}")
        same = tree.blocks(edge)
        self.tokens, self.choose = len(same), lambda mask: same


class Foveation:
    """A given number of blocks, the finer the nearer to the object.

    From the largest blocks on, that one is split into its four quarters which is nearest to the object by its own size,
    until there are as many as asked for: blocks whose edge is a fixed share of their distance, and the largest share
    that fits. A mask that is empty stands for the middle of the map.
    """

    def __init__(self, tree: Quadtree, tokens: int) -> None:
        self._fewest = len(tree.blocks(tree.edges[-1]))
        if tokens < self._fewest:
            raise PromptError(f"a memory of {tokens} tokens is too small; give {self._fewest} or more")
        self._tree, self._tokens = tree, tokens
        self._parents = np.flatnonzero(tree.edge > 1)
        self._is_child = tree.edge < tree.edges[-1]
        self._added = np.bincount(tree.parent[self._is_child], minlength=tree.padding)[self._parents] - 1

    def __call__(self, mask: Tensor) -> I64:
        """mask: logits [h, w], h and w multiples of the map's. Returns [tokens] int64, with padding at the end."""
        tree, parents = self._tree, self._parents
        nearness = tree.least(self._distance(np.asarray(mask)))[parents] / tree.edge[parents]
        order = np.lexsort((-tree.edge[parents], nearness))
        count = self._fewest + np.cumsum(self._added[order])
        split = np.zeros(tree.padding, bool)
        split[parents[order[: np.searchsorted(count, self._tokens, side="right")]]] = True
        kept = np.flatnonzero(np.where(self._is_child, split[tree.parent], True) & ~split)
        return np.pad(kept, (0, self._tokens - len(kept)), constant_values=tree.padding)

    def _distance(self, mask: Tensor) -> npt.NDArray[np.float32]:
        """Distance of each cell from the object, in cells."""
        rows, columns = self._tree.rows, self._tree.columns
        fine = (mask > 0).reshape(rows, mask.shape[0] // rows, columns, mask.shape[1] // columns)
        away = 1 - fine.max(axis=(1, 3)).astype(np.uint8)
        if away.all():
            away[rows // 2, columns // 2] = 0
        return np.asarray(cv2.distanceTransform(away, cv2.DIST_L2, 3), np.float32)


def usual_tokens(rows: int, columns: int) -> int:
    """An eighth of the cells, and as many as a row and a column have: room for an object of 8 % and its outline."""
    return rows * columns // 8 + rows + columns


def kept_blocks(model: ModelSpec, detail: MemoryDetail | None) -> KeptBlocks | None:
    """The blocks of a model's memories; None where its memories are whole by themselves.

    Raises PromptError where a detail is asked of such a model.
    """
    if not model.token_memory:
        if detail is not None and detail.layout != "whole":
            raise PromptError(
                f"memory detail {detail}: memories of {model.family}/{model.variant} {model.form} are whole; export it "
                "with --foveated, and choose that variant"
            )
        return None
    return KeptBlocks(*model.feature_hw, detail or MemoryDetail())
