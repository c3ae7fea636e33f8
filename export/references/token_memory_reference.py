"""What a memory of tokens computes, written out: block by block, with the logarithm of each block's size in the scores.

All else is transformers' own modules, of SAM 2 and of SAM 3's tracker.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from masklet.export.family import Feeds
from masklet.export.references import sam2_reference
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.pixels.quadtree import Quadtree
from torch import nn
from transformers.models.sam2_video.modeling_sam2_video import rotate_pairwise


def cells_of(tree: Quadtree, place: int) -> list[int]:
    """The cells of a block, as rows of the flattened map; none of the padding."""
    level = next((at for at, end in enumerate(tree.starts[1:]) if place < end), None)
    if level is None:
        return []
    edge, (row, column) = tree.edges[level], divmod(place - tree.starts[level], tree.shapes[level][1])
    rows = range(row * edge, min(tree.rows, (row + 1) * edge))
    columns = range(column * edge, min(tree.columns, (column + 1) * edge))
    return [r * tree.columns + c for r in rows for c in columns]


def mean_of(table: torch.Tensor, cells: list[int]) -> torch.Tensor:
    """The mean row of a table [cells, C]; zeros for no cells."""
    return table[cells].mean(dim=0) if cells else torch.zeros_like(table[0])


class _TokenAttention(nn.Module):
    """transformers' cross-attention with keys rotated by given tables, and a bias of given logarithms of weights."""

    def __init__(self, cross: Any, cos: torch.Tensor, sin: torch.Tensor, log_weights: torch.Tensor) -> None:
        super().__init__()
        self.cross, self.cos, self.sin, self.log_weights = cross, cos, sin, log_weights

    def forward(
        self, query: Any, key: Any, value: Any, position_embeddings: Any, num_k_exclude_rope: int
    ) -> tuple[torch.Tensor, None]:
        cross, heads = self.cross, int(self.cross.num_attention_heads)
        q, k, v = (
            torch.unflatten(project(x)[0, 0], -1, (heads, -1)).transpose(0, 1)
            for project, x in ((cross.q_proj, query), (cross.k_proj, key), (cross.v_proj, value))
        )
        cos, sin = (table[0] for table in position_embeddings)
        q = q * cos + rotate_pairwise(q) * sin
        spatial, pointers = k[:, : len(self.cos)], k[:, len(self.cos) :]
        k = torch.cat([spatial * self.cos + rotate_pairwise(spatial) * self.sin, pointers], dim=1)
        weights = torch.softmax(q @ k.transpose(1, 2) * cross.scaling + self.log_weights, dim=-1)
        return cross.o_proj((weights @ v).transpose(0, 1).flatten(1))[None, None], None


@contextmanager
def _swapped(model: Any, *tables: torch.Tensor) -> Iterator[None]:
    layers = list(model.memory_attention.layers)
    own = [layer.cross_attn_image for layer in layers]
    for layer, cross in zip(layers, own, strict=True):
        layer.cross_attn_image = _TokenAttention(cross, *tables)
    try:
        yield
    finally:
        for layer, cross in zip(layers, own, strict=True):
            layer.cross_attn_image = cross


def memory_attention(model: Any, neck: Any) -> sam2_reference.Reference:
    """transformers' memory attention, with one key for every token."""

    def one(vision: torch.Tensor, feeds: Feeds, index: int) -> torch.Tensor:
        rows, columns = vision.shape[-2:]
        tree, places = Quadtree(rows, columns), feeds["memory_place"][index]
        cells = [cells_of(tree, int(place)) for place in places.ravel()]
        pointers, pointer_positions = sam2_reference.pointer_tokens(model, feeds, index)
        sines = sam2_reference.sine(model.memory_encoder, model.mem_dim, rows, columns)[:, 0]
        times = model.memory_temporal_positional_encoding[torch.from_numpy(feeds["memory_time"][index])].flatten(1)
        where = torch.stack([mean_of(sines, block) for block in cells]) + times.repeat_interleave(places.shape[1], 0)
        cos, sin = (
            t.flatten(0, -2) for t in model.memory_attention.rotary_emb(vision, model.memory_attention.position_ids)
        )
        counts = [*(len(block) for block in cells), *[1] * len(pointers)]
        tables = (
            torch.stack([mean_of(cos, block) for block in cells]),
            torch.stack([mean_of(sin, block) for block in cells]),
            torch.tensor([math.log(n) if n else -math.inf for n in counts]),
        )
        memory = torch.from_numpy(feeds["memory"][index]).flatten(0, 1)[:, None]
        with _swapped(model, *tables):
            attended: torch.Tensor = model.memory_attention(
                current_vision_features=vision.flatten(2).permute(2, 0, 1),
                current_vision_position_embeddings=sam2_reference.sine(neck, model.hidden_dim, rows, columns),
                memory=torch.cat([memory, pointers]),
                memory_posision_embeddings=torch.cat([where[:, None], pointer_positions]),
                num_object_pointer_tokens=len(pointers),
            )
        return attended.squeeze(1).transpose(1, 2).reshape(vision.shape)

    def run(feeds: Feeds) -> dict[str, Tensor]:
        vision = torch.from_numpy(feeds["vision_feat"])
        with torch.inference_mode():
            embeds = [one(vision, feeds, index) for index in range(len(feeds["memory"]))]
        return {"image_embed": torch.cat(embeds).numpy()}

    return run


def draw_places(grid: tuple[int, int]) -> Any:
    """Any blocks of a map of so many rows and columns, and padding."""
    count = Quadtree(*grid).padding + 1
    return lambda rng, shape: rng.integers(0, count, shape, np.int64)
