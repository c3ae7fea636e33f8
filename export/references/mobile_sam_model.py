"""MobileSAM as a model of transformers, which has none: SAM with TinyViT in place of the ViT.

TinyViT is that of github.com/ChaoningZhang/MobileSAM, mobile_sam/modeling/tiny_vit_sam.py; parameters have its names.
"""

from collections import OrderedDict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import SamConfig, SamModel
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.sam.modeling_sam import SamLayerNorm


class MobileSamConfig(SamConfig):  # type: ignore[misc]  # transformers has no types
    """SamConfig whose vision_config has, for each of TinyViT's four stages, embed_dims, depths, heads, windows.

    The first stage has no attention: its heads and window are 0.
    """

    model_type = "mobile_sam"


class MobileSamModel(SamModel):  # type: ignore[misc]
    """SamModel with another vision encoder."""

    config_class = MobileSamConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.vision_encoder = TinyViT(config.vision_config)


class TinyViT(nn.Module):
    """Pixels [1, 3, side, side], normalised, to last_hidden_state [1, C, side / 16, side / 16]."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        dims, out = list(config.embed_dims), int(config.output_channels)
        first = ConvNorm(3, dims[0] // 2, 3, stride=2), nn.GELU(), ConvNorm(dims[0] // 2, dims[0], 3, stride=2)
        self.patch_embed = nn.ModuleDict({"seq": nn.Sequential(*first)})
        # The last merging keeps the resolution (tiny_vit_sam.py 122-124).
        self.layers = nn.ModuleList(
            Stage(dim, following, int(depth), int(heads), int(window), stride)
            for dim, following, depth, heads, window, stride in zip(
                dims,
                [*dims[1:], None],
                config.depths,
                config.heads,
                config.windows,
                [2] * (len(dims) - 2) + [1, 0],
                strict=True,
            )
        )
        norms = [SamLayerNorm(out, eps=1e-6, data_format="channels_first") for _ in range(2)]
        wide, square = nn.Conv2d(dims[-1], out, 1, bias=False), nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.neck = nn.Sequential(wide, norms[0], square, norms[1])

    def forward(self, pixels: Tensor, **unused: Any) -> BaseModelOutput:
        """transformers' way to call a vision encoder."""
        x = self.patch_embed["seq"](pixels)
        for layer in self.layers:
            x = layer(x)
        return BaseModelOutput(last_hidden_state=self.neck(x))


class ConvNorm(nn.Sequential):
    """A convolution and a batch norm."""

    def __init__(self, channels: int, out: int, kernel: int = 1, *, stride: int = 1, groups: int = 1) -> None:
        convolution = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(OrderedDict(c=convolution, bn=nn.BatchNorm2d(out)))


class Stage(nn.Module):
    """Blocks, then a merging to the next stage's channels; [1, C, height, width] throughout."""

    def __init__(self, dim: int, following: int | None, depth: int, heads: int, window: int, stride: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(WindowBlock(dim, heads, window) if heads else ConvBlock(dim) for _ in range(depth))
        self.downsample = None if following is None else Merging(dim, following, stride)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class ConvBlock(nn.Module):
    """MBConv: expand fourfold, convolve each channel, project."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(dim, 4 * dim)
        self.conv2 = ConvNorm(4 * dim, 4 * dim, 3, groups=4 * dim)
        self.conv3 = ConvNorm(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x))))))


class Merging(nn.Module):
    """To other channels, at half the resolution or the same."""

    def __init__(self, dim: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.conv3 = ConvNorm(dim, out), ConvNorm(out, out)
        self.conv2 = ConvNorm(out, out, 3, stride=stride, groups=out)

    def forward(self, x: Tensor) -> Tensor:
        merged: Tensor = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return merged


class WindowBlock(nn.Module):
    """Attention within windows, a convolution of each channel, a perceptron."""

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = WindowAttention(dim, heads, window)
        self.local_conv = ConvNorm(dim, dim, 3, groups=dim)
        parts = {"norm": nn.LayerNorm(dim), "fc1": nn.Linear(dim, 4 * dim), "fc2": nn.Linear(4 * dim, dim)}
        self.mlp = nn.ModuleDict(parts)

    def forward(self, x: Tensor) -> Tensor:
        x = self.local_conv(x + self._attended(x))
        inner = self.mlp["norm"](x.permute(0, 2, 3, 1))
        added: Tensor = self.mlp["fc2"](F.gelu(self.mlp["fc1"](inner))).permute(0, 3, 1, 2)
        return x + added

    def _attended(self, x: Tensor) -> Tensor:
        """Padding is attended to like any other token."""
        (_, channels, height, width), window = x.shape, self.window
        padded = F.pad(x, (0, -width % window, 0, -height % window))
        rows, columns = padded.shape[2] // window, padded.shape[3] // window
        grid = padded.reshape(channels, rows, window, columns, window).permute(1, 3, 2, 4, 0)
        mixed = self.attn(grid.reshape(rows * columns, window * window, channels))
        back = mixed.reshape(rows, columns, window, window, channels).permute(4, 0, 2, 1, 3)
        whole: Tensor = back.reshape(1, channels, rows * window, columns * window)
        return whole[:, :, :height, :width]


class WindowAttention(nn.Module):
    """Attention with a bias by distance; query, key and value lie beside each other for each head."""

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.norm, self.qkv, self.proj = nn.LayerNorm(dim), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))

    def biases(self) -> Tensor:
        """Of every query and key, [heads, window^2, window^2]: one for each distance in rows and in columns."""
        places = torch.cartesian_prod(torch.arange(self.window), torch.arange(self.window))
        rows, columns = (places[:, None] - places[None]).abs().unbind(-1)
        return self.attention_biases[:, rows * self.window + columns]

    def forward(self, x: Tensor) -> Tensor:
        by_head = self.qkv(self.norm(x)).unflatten(2, (self.heads, 3, -1)).permute(3, 0, 2, 1, 4)
        query, key, value = by_head.unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=self.biases())
        projected: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return projected
