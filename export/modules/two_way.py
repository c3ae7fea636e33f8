"""The two-way transformer of SAM's mask decoder: a few tokens and an image's cells attend to each other.

There are thousands of cells and some ten tokens, so the projections of the cells are where the reference spends its
time. They are moved to the tokens, which is exact: with q and k of one head,

    (x Wq + bq) (y Wk + bk)^T = (x Wq + bq) Wk^T y^T + constant of the row,

the softmax does not see a constant of the row, and the rows of its result P sum to 1, so P (y Wv + bv) = (P y) Wv + bv.
The cells themselves are then keys and values, as they lie in memory, for all heads at once: half the products, and no
transposition of the cells for each head.
"""

from typing import Any

import torch
from masklet.export.modules.layers import linear
from torch import Tensor, nn


class TokensToImage(nn.Module):
    """Tokens attend to cells."""

    key: Tensor
    value: Tensor
    value_bias: Tensor

    def __init__(self, attention: Any) -> None:
        """attention: transformers' attention of tokens to an image."""
        super().__init__()
        self.heads, factor = int(attention.num_attention_heads), float(attention.scaling)
        self.query = linear(attention.q_proj.weight * factor, attention.q_proj.bias * factor)
        self.register_buffer("key", _cut(attention.k_proj.weight, self.heads))
        self.register_buffer("value", _cut(attention.v_proj.weight, self.heads).transpose(1, 2).contiguous())
        self.register_buffer("value_bias", _cut(attention.v_proj.bias, self.heads)[:, None])
        self.out = _output(attention)

    def forward(self, tokens: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """tokens: [objects, tokens, C]; keys, values: [objects, cells, C]. Returns [objects, tokens, C]."""
        moved = torch.matmul(_by_head(self.query(tokens), self.heads), self.key)  # [objects, heads, tokens, C]
        weights = torch.softmax(torch.matmul(moved.flatten(1, 2), keys.transpose(1, 2)), dim=-1)
        mixed = torch.matmul(weights, values).reshape(moved.shape)
        by_head = torch.matmul(mixed, self.value) + self.value_bias
        added: Tensor = self.out(by_head.transpose(1, 2).flatten(2))
        return added


class ImageToTokens(nn.Module):
    """Cells attend to tokens."""

    query: Tensor
    query_bias: Tensor
    out: Tensor

    def __init__(self, attention: Any) -> None:
        """attention: transformers' attention of an image to tokens."""
        super().__init__()
        self.heads, factor = int(attention.num_attention_heads), float(attention.scaling)
        self.key = linear(attention.k_proj.weight, attention.k_proj.bias)
        self.value = linear(attention.v_proj.weight, attention.v_proj.bias)
        self.register_buffer("query", _cut(attention.q_proj.weight * factor, self.heads))
        self.register_buffer("query_bias", _cut(attention.q_proj.bias * factor, self.heads)[:, :, None])
        self.register_buffer("out", _cut(_output(attention).weight.T, self.heads))
        self.out_bias = _output(attention).bias

    def forward(self, cells: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """cells: [objects, cells, C]; keys, values: [objects, tokens, C]. Returns [objects, cells, C]."""
        key, value = (_by_head(x, self.heads) for x in (self.key(keys), self.value(values)))
        moved = torch.matmul(key, self.query).flatten(1, 2)  # [objects, heads * tokens, C]
        constant = torch.matmul(key, self.query_bias).flatten(1)[:, None]
        scores = torch.matmul(cells, moved.transpose(1, 2)) + constant
        weights = torch.softmax(scores.reshape(*scores.shape[:2], self.heads, -1), dim=-1).flatten(2)
        # A cell's weights sum to one for each head: a share of the bias in every value adds up to the bias.
        mixed = torch.matmul(value, self.out) + self.out_bias / self.heads
        return torch.matmul(weights, mixed.flatten(1, 2))


def _cut(rows: Tensor, heads: int) -> Tensor:
    """Rows of a projection, cut into heads: [heads, d, ...]."""
    return torch.unflatten(rows.detach(), 0, (heads, -1)).contiguous()


def _by_head(projected: Tensor, heads: int) -> Tensor:
    """[objects, tokens, heads * d] as [objects, heads, tokens, d]."""
    return torch.unflatten(projected, 2, (heads, -1)).transpose(1, 2)


def _output(attention: Any) -> nn.Linear:
    """The output projection, which transformers names out_proj in SAM and o_proj in SAM 2."""
    projection: nn.Linear = attention.o_proj if hasattr(attention, "o_proj") else attention.out_proj
    return projection


class TwoWayLayer(nn.Module):
    """Tokens attend to themselves, then to the cells, pass a perceptron, and the cells attend to the tokens."""

    def __init__(self, layer: Any) -> None:
        """layer: transformers' Sam2VideoTwoWayAttentionBlock."""
        super().__init__()
        self.first = bool(layer.skip_first_layer_pe)
        self.own = layer.self_attn
        self.to_image = TokensToImage(layer.cross_attn_token_to_image)
        self.to_tokens = ImageToTokens(layer.cross_attn_image_to_token)
        self.norm1, self.norm2 = layer.layer_norm1, layer.layer_norm2
        self.norm3, self.norm4 = layer.layer_norm3, layer.layer_norm4
        self.perceptron = layer.mlp

    def forward(self, tokens: Tensor, cells: Tensor, prompts: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """tokens, prompts: [objects, tokens, C]; cells: [objects, cells, C]; positions: [1, cells, C]."""
        placed = tokens if self.first else tokens + prompts
        own = self._attend_itself(placed, tokens)
        tokens = self.norm1(own if self.first else tokens + own)
        tokens = self.norm2(tokens + self.to_image(tokens + prompts, cells + positions, cells))
        tokens = self.norm3(tokens + self.perceptron(tokens))
        cells = self.norm4(cells + self.to_tokens(cells + positions, tokens + prompts, tokens))
        return tokens, cells

    def _attend_itself(self, placed: Tensor, tokens: Tensor) -> Tensor:
        """Standard attention: for ten tokens there is nothing to gain from a fused one."""
        own = self.own
        projected = own.q_proj(placed) * float(own.scaling), own.k_proj(placed), own.v_proj(tokens)
        query, key, value = (_by_head(x, int(own.num_attention_heads)) for x in projected)
        weights = torch.softmax(torch.matmul(query, key.transpose(2, 3)), dim=-1)
        added: Tensor = _output(own)(torch.matmul(weights, value).transpose(1, 2).flatten(2))
        return added


class TwoWayTransformer(nn.Module):
    """transformers' Sam2VideoTwoWayTransformer for one prompt an object."""

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayLayer(layer) for layer in transformer.layers)
        self.final = TokensToImage(transformer.final_attn_token_to_image)
        self.norm = transformer.layer_norm_final_attn

    def forward(self, prompts: Tensor, cells: Tensor, positions: Tensor, wanted: int) -> tuple[Tensor, Tensor]:
        """prompts: [objects, tokens, C]; cells: [objects, cells, C]; positions: [1, cells, C].

        wanted: the first so many tokens are returned; the others have told what they know before the last attention.
        Returns the tokens, [objects, wanted, C], and the cells in their shape.
        """
        tokens = prompts
        for layer in self.layers:
            tokens, cells = layer(tokens, cells, prompts, positions)
        tokens, prompts = tokens[:, :wanted], prompts[:, :wanted]
        tokens = self.norm(tokens + self.final(tokens + prompts, cells + positions, cells))
        return tokens, cells
