"""The image encoder of SAM (2023): a plain ViT with windows and relative positions, and a neck."""

from typing import Any

import torch
import torch.nn.functional as F
from masklet.export.modules.hiera import tile, untile
from masklet.export.modules.layers import attend
from torch import Tensor, nn


class RelativeAttention(nn.Module):
    """Attention over a square of tokens, with biases by the distance in rows and in columns.

    The bias of a query and a key is q Rh[row distance] + q Rw[column distance]. Written out it is a matrix of the
    scores' size, 800 MB a layer at 1024 px, which keeps attention from being fused. Instead the query is
    lengthened by q Rh and q Rw of every row and column, and the key by a one at its own row and column: the longer
    product is the score with its bias, exactly.
    """

    rows: Tensor
    columns: Tensor
    ones: Tensor

    def __init__(self, attention: Any, side: int) -> None:
        """attention: transformers' SamVisionAttention. side: edge of the square, in tokens."""
        super().__init__()
        self.qkv, self.out = attention.qkv, attention.proj
        self.heads, self.scale, self.side = int(attention.num_attention_heads), float(attention.scale), side
        self.relative = bool(attention.use_rel_pos)
        if self.relative:
            with torch.no_grad():
                for name, table in (("rows", attention.rel_pos_h), ("columns", attention.rel_pos_w)):
                    distances = attention.get_rel_pos(side, side, table)  # [query, key, d]
                    self.register_buffer(name, (distances / self.scale).transpose(1, 2).contiguous())
            one = torch.eye(side)
            by_row, by_column = one[:, None].expand(-1, side, -1), one[None].expand(side, -1, -1)
            self.register_buffer("ones", torch.cat([by_row, by_column], dim=-1).reshape(1, side * side, 1, 2 * side))

    def forward(self, x: Tensor) -> Tensor:
        """x: [squares, side, side, C]. Returns the same shape, before the output projection."""
        query, key, value = self.qkv(x).flatten(1, 2).chunk(3, dim=-1)
        if self.relative:
            query, key = self._lengthened(query, key)
        return attend(query, key, value, self.heads, self.scale).reshape(x.shape)

    def _lengthened(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        by_head = torch.unflatten(query, 2, (self.heads, -1))  # [squares, tokens, heads, d]
        grid = torch.unflatten(by_head, 1, (self.side, self.side)).permute(0, 3, 1, 2, 4)
        to_rows = torch.matmul(grid, self.rows)
        to_columns = torch.matmul(grid.transpose(2, 3), self.columns).transpose(2, 3)
        biases = torch.cat([to_rows, to_columns], dim=-1).permute(0, 2, 3, 1, 4).flatten(1, 2)
        ones = self.ones.expand(key.shape[0], -1, self.heads, -1)
        longer = torch.cat([torch.unflatten(key, 2, (self.heads, -1)), ones], dim=-1)
        return torch.cat([by_head, biases], dim=-1).flatten(2), longer.flatten(2)


class ViTBlock(nn.Module):
    """Attention within windows, or over the whole map, then a perceptron."""

    def __init__(self, layer: Any, side: int) -> None:
        """layer: transformers' SamVisionLayer. side: edge of the map, in tokens."""
        super().__init__()
        self.side, self.window = side, int(layer.window_size)
        self.norm1, self.norm2, self.perceptron = layer.layer_norm1, layer.layer_norm2, layer.mlp
        self.attention = RelativeAttention(layer.attn, self.window or side)

    def forward(self, x: Tensor) -> Tensor:
        """x: [1, side, side, C]. Returns the same shape."""
        normed = self.norm1(x)
        mixed = self.attention(tile(normed, self.window) if self.window else normed)
        if self.window:  # the padding goes before the projection: fewer rows
            mixed = untile(mixed, self.side, self.side)
        x = x + self.attention.out(mixed)
        added: Tensor = self.perceptron(self.norm2(x))
        return x + added


class PaddedPixels(nn.Module):
    """An image of uint8 RGB, normalised. What it does not cover is 0, as segment_anything pads it (Sam.preprocess)."""

    scale: Tensor
    shift: Tensor

    def __init__(self, side: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """side: edge of the image, in pixels. mean, std: of values in 0..1."""
        super().__init__()
        self.side = side
        channels = torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)
        self.register_buffer("scale", (1 / (255 * channels[1])).float()[:, None, None])
        self.register_buffer("shift", (-channels[0] / channels[1]).float()[:, None, None])

    def forward(self, image: Tensor, content_hw: Tensor) -> Tensor:
        """image: uint8 [1, side, side, 3]; content_hw: int64 [2]. Returns float32 [1, 3, side, side]."""
        places = torch.arange(self.side, device=image.device)
        rows, columns = ((places < content_hw[axis]).to(torch.float32) for axis in (0, 1))
        pixels = image.to(torch.float32).permute(0, 3, 1, 2) * self.scale + self.shift
        return pixels * (rows[:, None] * columns)


class ViTEncoder(nn.Module):
    """An image of uint8 RGB to the map that the mask decoder attends to."""

    def __init__(self, encoder: Any, side: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """encoder: transformers' SamVisionEncoder. side: edge of the image, in pixels. mean, std: of values in 0..1."""
        super().__init__()
        self.pixels = PaddedPixels(side, mean, std)
        self.patch, self.neck = encoder.patch_embed.projection, encoder.neck
        self.positions = encoder.pos_embed
        tokens = side // int(self.patch.kernel_size[0])
        self.blocks = nn.ModuleList(ViTBlock(layer, tokens) for layer in encoder.layers)

    def tokens(self, image: Tensor, content_hw: Tensor) -> tuple[Tensor, Tensor]:
        """Run the blocks. Returns (the last map, the map behind the first global block), [1, tokens, tokens, C]."""
        x = self.patch(self.pixels(image, content_hw)).permute(0, 2, 3, 1)
        x = x if self.positions is None else x + self.positions
        early = None
        for block in self.blocks:
            x = block(x)
            if early is None and block.window == 0:
                early = x
        return x, x if early is None else early

    def forward(self, image: Tensor, content_hw: Tensor) -> Tensor:
        """image: uint8 [1, side, side, 3]; content_hw: int64 [2]. Returns vision_feat [1, C, tokens, tokens]."""
        vision: Tensor = self.neck(self.tokens(image, content_hw)[0])
        return vision


class HQEncoder(nn.Module):
    """SAM-HQ's encoder: beside the map, the fine features that its high-quality token is multiplied with.

    They depend on the image alone, so they are computed with it, and a click does not pay for them.
    """

    def __init__(self, model: Any, side: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """model: transformers' SamHQModel. side: edge of the image, in pixels."""
        super().__init__()
        self.encoder, self.decoder = ViTEncoder(model.vision_encoder, side, mean, std), model.mask_decoder

    def forward(self, image: Tensor, content_hw: Tensor) -> tuple[Tensor, Tensor]:
        """Returns vision_feat [1, C, tokens, tokens] and hq_feat [1, C / 8, 4 tokens, 4 tokens]."""
        last, early = self.encoder.tokens(image, content_hw)
        vision, decoder = self.encoder.neck(last), self.decoder
        fine = decoder.encoder_conv2(F.gelu(decoder.encoder_norm(decoder.encoder_conv1(vision))))
        compressed = decoder.compress_vit_conv1(early.permute(0, 3, 1, 2))
        hq: Tensor = decoder.compress_vit_conv2(F.gelu(decoder.compress_vit_norm(compressed)))
        return vision, fine + hq
