"""EdgeSAM's image encoder: RepViT with its branches and batch norms folded, and two levels fused."""

from typing import Any

import torch.nn.functional as F
from masklet.export.modules.efficient_vit import Enlarged
from masklet.export.modules.tiny_vit import folded
from masklet.export.modules.vit import PaddedPixels
from torch import Tensor, nn


class EdgeRepVitEncoder(nn.Module):
    """An image of uint8 RGB to the map that the mask decoder attends to."""

    def __init__(self, encoder: Any, side: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """encoder: the RepViT of EdgeSamModel. side: edge of the image, in pixels. mean, std: of values in 0..1."""
        super().__init__()
        (first, _, second), *blocks = encoder.features
        self.pixels = PaddedPixels(side, mean, std)
        self.first, self.second = folded(first), folded(second)
        self.fine = nn.Sequential(*(FoldedBlock(block) for block in blocks[: encoder.fine]))
        self.coarse = nn.Sequential(*(FoldedBlock(block) for block in blocks[encoder.fine :]))
        self.from_fine, self.from_coarse = encoder.fuse_stage2, encoder.fuse_stage3
        self.enlarge, self.neck = Enlarged(side // 32, 2), encoder.neck

    def forward(self, image: Tensor, content_hw: Tensor) -> Tensor:
        """image: uint8 [1, side, side, 3]; content_hw: int64 [2]. Returns vision_feat [1, C, side / 16, side / 16]."""
        fine = self.fine(self.second(F.gelu(self.first(self.pixels(image, content_hw)))))
        coarse = self.enlarge(self.from_coarse(self.coarse(fine)))
        vision: Tensor = self.neck(self.from_fine(fine) + coarse)
        return vision


class FoldedBlock(nn.Module):
    """Block, each of its mixers as few convolutions as it can be."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        spatial, self.gate, *pointwise = block.token_mixer
        self.spatial = one_branch(spatial) if hasattr(spatial, "conv1") else folded(spatial)
        self.pointwise = folded(pointwise[0]) if pointwise else None
        widen, _, project = block.channel_mixer["m"]
        self.widen, self.project = folded(widen), folded(project)

    def forward(self, x: Tensor) -> Tensor:
        """x: [1, C, height, width]. Returns [1, C', height, width], or half of both."""
        x = self.gate(self.spatial(x))
        x = x if self.pointwise is None else self.pointwise(x)
        added: Tensor = self.project(F.gelu(self.widen(x)))
        return x + added


def one_branch(branches: Any) -> nn.Conv2d:
    """DepthwiseBranches as one convolution: the small kernel and the identity lie in the middle of the large one."""
    large: Any = folded(branches.conv)
    small: Any = folded(branches.conv1)
    weight = large.weight + F.pad(small.weight + 1, (1, 1, 1, 1))
    large.weight = nn.Parameter(weight.detach(), requires_grad=False)
    large.bias = nn.Parameter((large.bias + small.bias).detach(), requires_grad=False)
    one: nn.Conv2d = large
    return one
