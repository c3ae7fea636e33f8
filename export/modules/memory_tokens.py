"""SAM 2's memory as sets of tokens: whole, averaged over blocks of cells, or fine in one place and coarse elsewhere.

A token is a block of the map's cells (runtime/pixels/quadtree.py). Its content is the mean of what its cells hold, its
place the mean of their position encodings and of their keys' rotations, and in a softmax it counts as often as it has
cells. Memories of single cells are SAM 2's own.
"""

from typing import Any

import torch
import torch.nn.functional as F
from masklet.export.modules.layers import HalfSplitRotary, Table, attend
from masklet.export.modules.memories import MemoryAttention, MemoryAttentionLayer
from masklet.runtime.pixels.quadtree import Quadtree
from torch import Tensor, nn


class TokenAttentionLayer(MemoryAttentionLayer):
    """A layer whose keys are rotated by the place of each token."""

    def attend_tokens(self, x: Tensor, tokens: Tensor, place: Tensor, pointer_keys: Tensor, values: Tensor) -> Tensor:
        """Add the cross-attention and the perceptron.

        x: [objects or 1, positions, C]; tokens: keys [objects, memories, tokens, 64], rotated here by `place` [objects,
        memories, tokens]; pointer_keys: [objects, pointer tokens, 64], not rotated; values: [objects, memories * tokens
        + pointer tokens, heads * 65], each value times the weight of its token, and then that weight.
        """
        query = self.rotary(self.cross_query(self.norm2(x))).expand(values.shape[0], -1, -1)
        turned = self.memory_rotary(self.cross_key(tokens.flatten(0, 1)), place.flatten(0, 1))
        turned = torch.unflatten(turned, 0, place.shape[:2]).flatten(1, 2)
        keys = torch.cat([turned, self.cross_key(pointer_keys)], dim=1)
        x = x + self.cross_out(weighted_mean(query, keys, values, self.heads, self.scale))
        added: Tensor = self.perceptron(self.norm3(x))
        return x + added


class TokenMemoryAttention(MemoryAttention):
    """SAM 2's memory attention over tokens of any size.

    A token of n cells adds ln n to its scores (arXiv 2411.18933, section 3.2, for tokens of one size). So that scores
    stay within the fused kernel, its value is multiplied by n instead, and a channel of n beside the values gives the
    sum to divide by. Padding has n = 0 and weighs nothing.
    """

    layer = TokenAttentionLayer
    weights: Tensor

    def positions_in_memory(self, model: Any) -> nn.Module:
        """Where each token lies, [blocks + 1, 64]; the weight of each is kept beside it."""
        tree = Quadtree(*self.grid)
        self.register_buffer("weights", with_padding(torch.from_numpy(tree.cells).float()[:, None]))
        return Table(with_padding(block_means(super().positions_in_memory(model)(), tree)))

    def rotary_of_memory(self, model: Any, heads: int) -> HalfSplitRotary:
        """The mean rotation of each block's cells: the mean of their keys, where these hold the same."""
        attention, tree = model.memory_attention, Quadtree(*self.grid)
        cos, sin = (t.flatten(0, -2) for t in attention.rotary_emb(torch.zeros(1), attention.position_ids))
        return HalfSplitRotary(with_padding(block_means(cos, tree)), with_padding(block_means(sin, tree)), heads)

    def forward(  # type: ignore[override]
        self,
        vision_feat: Tensor,
        memory: Tensor,
        memory_place: Tensor,
        memory_time: Tensor,
        pointers: Tensor,
        pointer_time: Tensor | None = None,
    ) -> Tensor:
        """Shapes as the stage declares them; pointer_time is None for SAM 2.0. Returns image_embed."""
        x = vision_feat.flatten(2).transpose(1, 2) + self.positions()
        when = F.embedding(memory_time, self.temporal)[:, :, None]
        tokens = memory + (F.embedding(memory_place, self.memory_positions()) + when)
        split = self._pointer_tokens(pointers)
        keys = split if pointer_time is None else self._pointer_tokens(pointers, pointer_time)
        weight = F.embedding(memory_place, self.weights)
        values = torch.cat([memory * weight, weight], dim=3).flatten(1, 2)
        values = torch.cat([values, F.pad(split, (0, 1), value=1.0)], dim=1)
        values = values if self.rotary.heads == 1 else values.repeat(1, 1, self.rotary.heads)
        for layer in self.layers:
            x = layer.attend_itself(x)  # type: ignore[operator]
            x = layer.attend_tokens(x, tokens, memory_place, keys, values)  # type: ignore[operator]
        normed: Tensor = self.norm(x)
        return torch.unflatten(normed.transpose(1, 2), 2, self.grid)


def weighted_mean(query: Tensor, keys: Tensor, values: Tensor, heads: int, scale: float) -> Tensor:
    """Attention to tokens that weigh differently.

    values: [objects, tokens, heads * (d + 1)], each value times the weight of its token, and then that weight.
    Returns [objects, queries, heads * d].
    """
    mixed = torch.unflatten(attend(query, keys, values, heads, scale), 2, (heads, -1))
    return (mixed[..., :-1] / mixed[..., -1:]).flatten(2)


def block_means(cells: Tensor, tree: Quadtree) -> Tensor:
    """The mean of each block of a table. cells: [rows * columns, C]. Returns [blocks, C]."""
    sums = torch.from_numpy(tree.sums(cells.reshape(tree.rows, tree.columns, -1).numpy()))
    return sums / torch.from_numpy(tree.cells)[:, None]


def with_padding(blocks: Tensor) -> Tensor:
    """Blocks [count, C], and a row of zeros after them for the padding."""
    return F.pad(blocks, (0, 0, 0, 1))
