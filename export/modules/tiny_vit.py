"""MobileSAM's image encoder: TinyViT with its batch norms folded and its biases written out."""

from typing import Any

import torch.nn.functional as F
from masklet.export.modules.hiera import tile, untile
from masklet.export.modules.layers import attend_written_out, linear
from masklet.export.modules.vit import PaddedPixels
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class TinyViTEncoder(nn.Module):
    """An image of uint8 RGB to the map that the mask decoder attends to."""

    def __init__(self, encoder: Any, side: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """encoder: the TinyViT of MobileSamModel. side: edge of the image, in pixels. mean, std: of values in 0..1."""
        super().__init__()
        first, _, second = encoder.patch_embed["seq"]
        self.pixels = PaddedPixels(side, mean, std)
        self.first, self.second, self.neck = folded(first), folded(second), encoder.neck
        self.layers = nn.Sequential(*(part for stage in encoder.layers for part in _parts(stage)))

    def forward(self, image: Tensor, content_hw: Tensor) -> Tensor:
        """image: uint8 [1, side, side, 3]; content_hw: int64 [2]. Returns vision_feat [1, C, tokens, tokens]."""
        x = self.second(F.gelu(self.first(self.pixels(image, content_hw))))
        vision: Tensor = self.neck(self.layers(x))
        return vision


def _parts(stage: Any) -> list[nn.Module]:
    blocks: list[nn.Module] = [
        WindowBlock(block) if hasattr(block, "attn") else Convolutions(block, True) for block in stage.blocks
    ]
    return blocks if stage.downsample is None else [*blocks, Convolutions(stage.downsample, False)]


def folded(unit: Any) -> nn.Conv2d:
    """A convolution and its batch norm as one convolution."""
    both: nn.Conv2d = fuse_conv_bn_eval(unit.c.eval(), unit.bn.eval())
    return both


class Convolutions(nn.Module):
    """Three convolutions: a block of the first stage, or a merging."""

    def __init__(self, block: Any, residual: bool) -> None:
        """residual: whether the input is added, and what comes of it activated."""
        super().__init__()
        self.first, self.second, self.third = folded(block.conv1), folded(block.conv2), folded(block.conv3)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """x: [1, C, height, width]."""
        y: Tensor = self.third(F.gelu(self.second(F.gelu(self.first(x)))))
        return F.gelu(x + y) if self.residual else y


class WindowBlock(nn.Module):
    """Attention within windows, a convolution of each channel, a perceptron."""

    bias: Tensor

    def __init__(self, block: Any) -> None:
        super().__init__()
        attention = block.attn
        self.window, self.heads = int(block.window), int(attention.heads)
        self.norm, self.out = attention.norm, attention.proj
        rows = [part.flatten(0, 1) for part in attention.qkv.weight.unflatten(0, (self.heads, 3, -1)).unbind(1)]
        shifts = [part.flatten() for part in attention.qkv.bias.unflatten(0, (self.heads, 3, -1)).unbind(1)]
        self.query, self.key, self.value = (linear(*both) for both in zip(rows, shifts, strict=True))
        self.scale = (self.query.out_features // self.heads) ** -0.5
        self.register_buffer("bias", attention.biases().detach()[None].clone())
        self.local, self.mlp = folded(block.local_conv), block.mlp

    def forward(self, x: Tensor) -> Tensor:
        """x: [1, C, height, width]."""
        _, _, height, width = x.shape
        windows = tile(x.permute(0, 2, 3, 1), self.window)
        normed = self.norm(windows.flatten(1, 2))
        projected = self.query(normed), self.key(normed), self.value(normed)
        mixed = self.out(attend_written_out(*projected, self.heads, self.scale, self.bias))
        x = self.local(x + untile(mixed.reshape(windows.shape), height, width).permute(0, 3, 1, 2))
        inner = self.mlp["fc1"](self.mlp["norm"](x.permute(0, 2, 3, 1)))
        added: Tensor = self.mlp["fc2"](F.gelu(inner)).permute(0, 3, 1, 2)
        return x + added
