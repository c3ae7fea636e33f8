"""EfficientViT-SAM's image encoder: EfficientViT with its batch norms folded, and levels enlarged by products."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from masklet.export.modules.vit import PaddedPixels
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

SMALLEST = 1e-7  # sum of weights, 0 where a query meets no key; FP16 can hold it, unlike the 1e-15 that LiteMLA adds


class EfficientVitEncoder(nn.Module):
    """An image of uint8 RGB to the map that the mask decoder attends to."""

    def __init__(self, encoder: Any, side: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """encoder: the EfficientVit of EfficientVitSamModel. side: edge of the image, in pixels. mean, std: of values
        in 0..1."""
        super().__init__()
        encoder = folded(encoder)
        self.pixels = PaddedPixels(side, mean, std)
        self.stages, self.laterals = encoder.stages, encoder.laterals
        self.neck, self.out, self.norm = encoder.neck, encoder.out, encoder.norm
        coarsest = side >> len(self.stages)
        self.enlarge = nn.ModuleList(Enlarged(coarsest << level, 4 >> level) for level in range(2))

    def forward(self, image: Tensor, content_hw: Tensor) -> Tensor:
        """image: uint8 [1, side, side, 3]; content_hw: int64 [2]. Returns vision_feat [1, C, g, g]."""
        maps = [self.pixels(image, content_hw)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        coarse, middle, fine = (lateral(maps[-1 - level]) for level, lateral in enumerate(self.laterals))
        merged = self.enlarge[0](coarse) + self.enlarge[1](middle) + fine
        vision: Tensor = self.norm(self.out(self.neck(merged)))
        return vision


class Enlarged(nn.Module):
    """Bicubic enlargement as a product along rows and one along columns, which every engine has."""

    matrix: Tensor

    def __init__(self, side: int, factor: int) -> None:
        """side: edge of the map, in cells."""
        super().__init__()
        rows = torch.eye(side, dtype=torch.float64)[None, None]
        large = F.interpolate(rows, size=(side * factor, side), mode="bicubic", align_corners=False)
        self.register_buffer("matrix", large[0, 0].float())

    def forward(self, x: Tensor) -> Tensor:
        """x: [1, C, side, side]. Returns [1, C, side * factor, side * factor]."""
        return torch.matmul(torch.matmul(self.matrix, x), self.matrix.T)


class SummedAttention(nn.Module):
    """LinearAttention with the sum of its weights taken from the keys: no row of ones for every cell."""

    def __init__(self, attention: Any) -> None:
        """attention: the LinearAttention of EfficientVitSamModel."""
        super().__init__()
        self.head_dim, self.qkv, self.proj = attention.head_dim, attention.qkv.conv, attention.proj
        self.gather = attention.aggreg[0]

    def forward(self, x: Tensor) -> Tensor:
        """x: [1, C, height, width]. Returns the same shape."""
        near = self.qkv(x)
        both = torch.cat([near, self.gather(near)], dim=1).flatten(2)
        query, key, value = torch.unflatten(both, 1, (-1, 3, self.head_dim)).unbind(2)  # [1, heads, d, tokens]
        query, key = F.relu(query), F.relu(key)
        total = torch.matmul(key.sum(-1)[:, :, None], query).clamp(min=SMALLEST)
        attended = torch.matmul(torch.matmul(value, key.transpose(2, 3)), query) / total
        projected: Tensor = self.proj(attended.reshape(1, -1, *x.shape[2:]))
        return projected


def folded(encoder: nn.Module) -> Any:
    """A copy of an encoder whose convolutions include their batch norms, with attention as `SummedAttention`."""
    encoder = copy.deepcopy(encoder).eval()
    modules: list[Any] = list(encoder.modules())
    for module in modules:
        if isinstance(getattr(module, "norm", None), nn.BatchNorm2d):
            module.conv, module.norm = fuse_conv_bn_eval(module.conv, module.norm), None
        for name, child in module.named_children():
            if hasattr(child, "aggreg"):
                setattr(module, name, SummedAttention(child))
    return encoder
