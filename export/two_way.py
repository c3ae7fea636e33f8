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
from torch import Tensor, nn


def _output(attention: Any) -> nn.Linear:
    """The output projection, which transformers names out_proj in SAM and o_proj in SAM 2."""
    projection: nn.Linear = attention.o_proj if hasattr(attention, "o_proj") else attention.out_proj
    return projection


class _Heads(nn.Module):
    """The projections of transformers' attention, cut by head and scaled."""

    query: Tensor
    query_bias: Tensor
    key: Tensor
    key_bias: Tensor
    value: Tensor
    value_bias: Tensor

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.heads = int(attention.num_attention_heads)
        for name, projection, factor in (
            ("query", attention.q_proj, float(attention.scaling)),
            ("key", attention.k_proj, 1.0),
            ("value", attention.v_proj, 1.0),
        ):
            weight = projection.weight.detach() * factor
            bias = projection.bias.detach() * factor
            # Weights are cut into heads of d rows, biases into one row a head.
            self.register_buffer(name, torch.unflatten(weight, 0, (self.heads, -1)).contiguous())
            self.register_buffer(f"{name}_bias", torch.unflatten(bias, 0, (self.heads, -1))[:, None].contiguous())
        self.out = _output(attention)


class TokensToImage(_Heads):
    """Tokens attend to cells."""

    def forward(self, tokens: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """tokens: [objects, tokens, C]; keys, values: [objects, cells, C]. Returns [objects, tokens, C]."""
        query = torch.matmul(tokens[:, None], self.query.transpose(1, 2)) + self.query_bias
        moved = torch.matmul(query, self.key)  # [objects, heads, tokens, C]
        weights = torch.softmax(torch.matmul(moved.flatten(1, 2), keys.transpose(1, 2)), dim=-1)
        mixed = torch.matmul(weights, values).reshape(moved.shape)
        by_head = torch.matmul(mixed, self.value.transpose(1, 2)) + self.value_bias
        added: Tensor = self.out(by_head.transpose(1, 2).flatten(2))
        return added


class ImageToTokens(_Heads):
    """Cells attend to tokens."""

    out_by_head: Tensor

    def __init__(self, attention: Any) -> None:
        super().__init__(attention)
        by_head = torch.unflatten(self.out.weight.detach().T, 0, (self.heads, -1))  # [heads, d, C]
        self.register_buffer("out_by_head", by_head.contiguous())

    def forward(self, cells: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """cells: [objects, cells, C]; keys, values: [objects, tokens, C]. Returns [objects, cells, C]."""
        key = torch.matmul(keys[:, None], self.key.transpose(1, 2)) + self.key_bias  # [objects, heads, tokens, d]
        value = torch.matmul(values[:, None], self.value.transpose(1, 2)) + self.value_bias
        moved = torch.matmul(key, self.query).flatten(1, 2)  # [objects, heads * tokens, C]
        constant = torch.matmul(key, self.query_bias.transpose(1, 2)).flatten(1)[:, None]
        scores = torch.matmul(cells, moved.transpose(1, 2)) + constant
        weights = torch.softmax(scores.reshape(*scores.shape[:2], self.heads, -1), dim=-1).flatten(2)
        # A cell's weights sum to one for each head: a share of the bias in every value adds up to the bias.
        mixed = torch.matmul(value, self.out_by_head) + self.out.bias / self.heads
        return torch.matmul(weights, mixed.flatten(1, 2))


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
        own, heads = self.own, (int(self.own.num_attention_heads), -1)
        projected = own.q_proj(placed) * float(own.scaling), own.k_proj(placed), own.v_proj(tokens)
        query, key, value = (torch.unflatten(x, -1, heads).transpose(1, 2) for x in projected)
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
