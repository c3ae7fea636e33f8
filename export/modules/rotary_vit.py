"""The image encoder of SAM 3: a ViT with windows and rotary positions, and a pyramid for detector and tracker each."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from masklet.export.modules.hiera import tile, untile
from masklet.export.modules.layers import (
    HalfSplitRotary,
    attend,
    doubled,
    followed,
    half_split_rows,
    linear,
    with_value_bias,
    without_bias,
)
from torch import Tensor, nn


class RotaryBlock(nn.Module):
    """Attention within windows, or over the whole map, then a perceptron."""

    def __init__(self, layer: Any, side: int, rotary: HalfSplitRotary) -> None:
        """layer: transformers' Sam3ViTLayer. side: edge of the map, in tokens. rotary: of a window or the map."""
        super().__init__()
        attention = layer.attention
        self.side, self.window, self.rotary = side, int(layer.window_size), rotary
        self.norm1, self.norm2, self.perceptron = layer.layer_norm1, layer.layer_norm2, layer.mlp
        rows = half_split_rows(attention.hidden_size, rotary.heads)
        self.query, self.key = (linear(p.weight[rows], p.bias[rows]) for p in (attention.q_proj, attention.k_proj))
        self.value = without_bias(attention.v_proj)
        self.out = with_value_bias(attention.o_proj, attention.v_proj.bias)
        self.scale = float(attention.scaling)

    def forward(self, x: Tensor) -> Tensor:
        """x: [1, side, side, C]. Returns the same shape."""
        normed = self.norm1(x)
        squares = tile(normed, self.window) if self.window else normed
        tokens = squares.flatten(1, 2)
        query, key = self.rotary(self.query(tokens)), self.rotary(self.key(tokens))
        mixed = attend(query, key, self.value(tokens), self.rotary.heads, self.scale).reshape(squares.shape)
        if self.window:  # the padding goes before the projection: fewer rows
            mixed = untile(mixed, self.side, self.side)
        x = x + self.out(mixed)
        added: Tensor = self.perceptron(self.norm2(x))
        return x + added


class PyramidLevel(nn.Module):
    """The last map at its size, at double or at four times it, and a 3x3 convolution.

    Transposed convolutions of stride 2 are linear layers whose results stay where they are until all is enlarged. The
    1x1 convolution behind them is multiplied with the last of them, and what follows the 3x3 convolution with that.
    """

    def __init__(self, layer: Any, head: Any = None) -> None:
        """layer: transformers' Sam3FPNLayer. head: a 1x1 convolution that its map goes through, or None."""
        super().__init__()
        doublings = [each for each in layer.scale_layers if isinstance(each, nn.ConvTranspose2d)]
        narrow, self.enlarged = layer.proj1, bool(doublings)
        self.widen = nn.ModuleList(doubled(each) for each in doublings[:-1])
        self.narrow = doubled(doublings[-1], narrow) if doublings else linear(narrow.weight.flatten(1), narrow.bias)
        self.smooth = layer.proj2 if head is None else followed(layer.proj2, head)

    def forward(self, x: Tensor) -> Tensor:
        """x: [1, side, side, C]. Returns [1, channels, edge, edge]."""
        for widen in self.widen:
            x = F.gelu(torch.unflatten(widen(x), -1, (2, 2, -1)))
        x = self.narrow(x)
        x = torch.unflatten(x, -1, (2, 2, -1)) if self.enlarged else x
        channels = x.ndim - 1
        rows, columns = [1, *range(3, channels, 2)], [2, *range(4, channels, 2)]
        edge = x.shape[1] * 2 ** (len(rows) - 1)
        # Cells first, whole rows of channels at a time, then channels: in one step ONNX Runtime moves single numbers.
        grid = x.permute(0, *rows, *columns, channels).reshape(1, edge, edge, -1) if self.enlarged else x
        smoothed: Tensor = self.smooth(grid.permute(0, 3, 1, 2))
        return smoothed


class Pyramid(nn.Module):
    """The maps at four times, double and single size; the 0.5 level of the checkpoint is used by nothing."""

    def __init__(self, neck: Any, heads: Sequence[Any] = (None, None, None)) -> None:
        """neck: transformers' Sam3VisionNeck. heads: what each map goes through, as in `PyramidLevel`."""
        super().__init__()
        self.levels = nn.ModuleList(map(PyramidLevel, neck.fpn_layers[:3], heads))

    def forward(self, x: Tensor) -> list[Tensor]:
        return [level(x) for level in self.levels]


class RotaryViTEncoder(nn.Module):
    """An image of uint8 RGB to the feature maps of every pyramid, one after the other.

    Patches do not overlap and nothing is padded, so mean and standard deviation are part of the patch embedding.
    """

    offset: Tensor

    def __init__(
        self,
        backbone: Any,
        pyramids: Sequence[Pyramid],
        side: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        """backbone: transformers' Sam3ViTModel. side: edge of the image, in pixels. mean, std: of values in 0..1."""
        super().__init__()
        self._embed(backbone.embeddings, side, torch.tensor(mean), torch.tensor(std))
        self.norm = backbone.layer_norm
        heads = int(backbone.config.num_attention_heads)
        rotaries = {}
        for layer in backbone.layers:
            if layer.window_size not in rotaries:
                cos, sin = layer.rotary_emb(torch.zeros(1), layer.position_ids)
                rotaries[layer.window_size] = HalfSplitRotary(cos[0], sin[0], heads)
        grid = self.offset.shape[1]
        self.blocks = nn.ModuleList(RotaryBlock(each, grid, rotaries[each.window_size]) for each in backbone.layers)
        self.pyramids = nn.ModuleList(pyramids)

    def _embed(self, embeddings: Any, side: int, mean: Tensor, std: Tensor) -> None:
        patch = embeddings.patch_embeddings.projection
        scaled = patch.weight.detach().double() / std.double().reshape(1, -1, 1, 1)
        grid = side // int(patch.kernel_size[0])
        with torch.no_grad():
            positions = embeddings._tile_position_embeddings(embeddings.position_embeddings, grid, grid).double()
        absent = (scaled * mean.double().reshape(1, -1, 1, 1)).sum(dim=(1, 2, 3))
        self.patch = nn.Conv2d(3, len(scaled), patch.kernel_size, patch.stride, bias=False)
        self.patch.weight = nn.Parameter((scaled / 255).float(), requires_grad=False)
        self.register_buffer("offset", (positions - absent).float().reshape(1, grid, grid, -1))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """image: uint8 [1, side, side, 3]. Returns three maps [1, channels, height, width] of each pyramid."""
        # The cast comes first: TensorRT takes bytes as an input, and does nothing else with them.
        pixels = image.to(torch.float32).permute(0, 3, 1, 2)
        x = self.norm(self.patch(pixels).permute(0, 2, 3, 1) + self.offset)
        for block in self.blocks:
            x = block(x)
        return tuple(level for pyramid in self.pyramids for level in pyramid(x))
