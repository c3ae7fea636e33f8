"""EdgeSAM as a model of transformers, which has none: SAM with RepViT and two fused levels in place of the ViT.

The encoder is that of github.com/chongzhou96/EdgeSAM, edge_sam/modeling/rep_vit.py; parameters have its names.
"""

from collections import OrderedDict
from typing import Any

import torch.nn.functional as F
from masklet.export.references.mobile_sam_model import ConvNorm
from torch import Tensor, nn
from transformers import SamConfig, SamModel
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.sam.modeling_sam import SamLayerNorm


class EdgeSamConfig(SamConfig):  # type: ignore[misc]  # transformers has no types
    """SamConfig whose vision_config has, for each block of RepViT, channels and squeezed.

    channels: that a block gives; where they change the block halves the resolution, and a stage begins.
    squeezed: to how many channels a block's squeeze-and-excitation goes; 0 where it has none.
    """

    model_type = "edge_sam"


class EdgeSamModel(SamModel):  # type: ignore[misc]
    """SamModel with another vision encoder."""

    config_class = EdgeSamConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.vision_encoder = RepViT(config.vision_config)


class RepViT(nn.Module):
    """Pixels [1, 3, side, side], normalised, to last_hidden_state [1, C, side / 16, side / 16]."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        channels, out = list(config.channels), int(config.output_channels)
        half = channels[0] // 2
        stem = nn.Sequential(ConvNorm(3, half, 3, stride=2), nn.GELU(), ConvNorm(half, channels[0], 3, stride=2))
        rows = zip([channels[0], *channels], channels, config.squeezed, strict=False)
        self.features = nn.ModuleList([stem, *(Block(*row) for row in rows)])
        self.fine = channels.index(channels[-1])  # how many features there are up to the last but one stage
        self.fuse_stage2 = nn.Conv2d(channels[self.fine - 1], out, 1, bias=False)
        self.fuse_stage3 = nn.Conv2d(channels[-1], out, 1, bias=False)
        norms = [SamLayerNorm(out, eps=1e-6, data_format="channels_first") for _ in range(2)]
        narrow, wide = nn.Conv2d(out, out, 1, bias=False), nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.neck = nn.Sequential(narrow, norms[0], wide, norms[1])

    def forward(self, pixels: Tensor, **unused: Any) -> BaseModelOutput:
        """transformers' way to call a vision encoder."""
        maps = [pixels]
        for feature in self.features:
            maps.append(feature(maps[-1]))
        coarse = F.interpolate(self.fuse_stage3(maps[-1]), scale_factor=2, mode="bicubic", align_corners=False)
        return BaseModelOutput(last_hidden_state=self.neck(self.fuse_stage2(maps[self.fine + 1]) + coarse))


class Block(nn.Module):
    """Mix each channel with its surroundings, then the channels."""

    def __init__(self, channels: int, out: int, squeezed: int) -> None:
        super().__init__()
        gate = SqueezeExcite(channels, squeezed) if squeezed else nn.Identity()
        if channels == out:
            self.token_mixer = nn.Sequential(DepthwiseBranches(channels), gate)
        else:
            down = ConvNorm(channels, channels, 3, stride=2, groups=channels)
            self.token_mixer = nn.Sequential(down, gate, ConvNorm(channels, out))
        mixer = nn.Sequential(ConvNorm(out, 2 * out), nn.GELU(), ConvNorm(2 * out, out))
        self.channel_mixer = nn.ModuleDict({"m": mixer})

    def forward(self, x: Tensor) -> Tensor:
        x = self.token_mixer(x)
        mixed: Tensor = self.channel_mixer["m"](x)
        return x + mixed


class DepthwiseBranches(nn.Module):
    """RepVGGDW: three branches of each channel that are one convolution at inference."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = ConvNorm(channels, channels, 3, groups=channels)
        self.conv1 = ConvNorm(channels, channels, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        branches: Tensor = self.conv(x) + self.conv1(x) + x
        return branches


class SqueezeExcite(nn.Sequential):
    """Weigh each channel by what the means of all say."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__(OrderedDict(fc1=nn.Conv2d(channels, squeezed, 1), fc2=nn.Conv2d(squeezed, channels, 1)))

    def forward(self, x: Tensor) -> Tensor:
        narrow, wide = self
        weighed: Tensor = x * wide(F.relu(narrow(x.mean((2, 3), keepdim=True)))).sigmoid()
        return weighed
