"""EfficientViT-SAM as a model of transformers, which has none: SAM with EfficientViT in place of the ViT.

The encoder is that of github.com/mit-han-lab/efficientvit, efficientvit/models/efficientvit/sam.py and backbone.py;
parameters have its names, but for `op_list.`.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import SamConfig, SamModel
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.sam.modeling_sam import SamLayerNorm

EPS = 1e-6  # of every batch and layer norm (sam_model_zoo.py 20), of the decoder's too


class EfficientVitSamConfig(SamConfig):  # type: ignore[misc]  # transformers has no types
    """SamConfig whose vision_config has, for each stage of EfficientViT, embed_dims, depths, kinds and expands.

    kinds:   of a stage's blocks: "res", "fmb" (fused), "mb" (inverted), "att" (attention and inverted).
    expands: by how much a block widens its channels; one that halves the resolution widens four times as much.
    kernel, head_dim: of the attention. neck_depth, neck_expand: of the neck's fused blocks.
    """

    model_type = "efficientvit_sam"


class EfficientVitSamModel(SamModel):  # type: ignore[misc]
    """SamModel with another vision encoder. Its images may be smaller than what prompts are given in."""

    config_class = EfficientVitSamConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.vision_encoder = EfficientVit(config.vision_config)
        self.mask_decoder.transformer.layer_norm_final_attn.eps = EPS


class EfficientVit(nn.Module):
    """Pixels [1, 3, side, side], normalised, to last_hidden_state [1, C, g, g] on the grid of the third last stage."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        dims, width, out = list(config.embed_dims), int(config.neck_width), int(config.output_channels)
        rows = zip([dims[0], *dims], dims, config.depths, config.kinds, config.expands, strict=False)
        self.stages = nn.ModuleList(_stage(config, *row) for row in rows)
        self.laterals = nn.ModuleList(Convolution(dim, width) for dim in reversed(dims[-3:]))
        self.neck = nn.Sequential(
            *(Residual(fused(width, width, config.neck_expand)) for _ in range(config.neck_depth))
        )
        self.out = nn.Conv2d(width, out, 1)
        self.norm = SamLayerNorm(out, eps=EPS, data_format="channels_first")

    def forward(self, pixels: Tensor, **unused: Any) -> BaseModelOutput:
        """transformers' way to call a vision encoder."""
        maps = [pixels]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        levels = [lateral(level) for lateral, level in zip(self.laterals, reversed(maps), strict=False)]
        grid = levels[-1].shape[2:]
        merged = sum(F.interpolate(level, size=grid, mode="bicubic", align_corners=False) for level in levels)
        return BaseModelOutput(last_hidden_state=self.norm(self.out(self.neck(merged))))


def _stage(config: Any, channels: int, dim: int, depth: int, kind: str, expand: int) -> nn.Sequential:
    """What halves the resolution, the stem or a block, and the blocks behind it."""
    if kind == "res":
        stem = Convolution(3, dim, 3, stride=2, activated=True)
        return nn.Sequential(stem, *(Residual(plain(dim)) for _ in range(depth)))
    down = (fused if kind == "fmb" else inverted)(channels, dim, 4 * expand, stride=2)
    blocks: dict[str, Callable[[], nn.Module]] = {
        "fmb": lambda: Residual(fused(dim, dim, expand)),
        "mb": lambda: Residual(inverted(dim, dim, expand)),
        "att": lambda: AttentionBlock(dim, expand, config.head_dim, config.kernel),
    }
    return nn.Sequential(Residual(down, added=False), *(blocks[kind]() for _ in range(depth)))


class Convolution(nn.Module):
    """A convolution, a batch norm unless there is none, and GELU by its tanh approximation where it is activated."""

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        normed: bool = True,
        activated: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=not normed)
        self.norm = nn.BatchNorm2d(out, eps=EPS) if normed else None
        self.activated = activated

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = x if self.norm is None else self.norm(x)
        return F.gelu(x, approximate="tanh") if self.activated else x


def plain(dim: int) -> nn.Sequential:
    """ResBlock: two convolutions."""
    parts = {"conv1": Convolution(dim, dim, 3, activated=True), "conv2": Convolution(dim, dim, 3)}
    return nn.Sequential(OrderedDict(parts))


def fused(channels: int, out: int, expand: int, *, stride: int = 1) -> nn.Sequential:
    """FusedMBConv: widen with a whole convolution, project."""
    wide = channels * expand
    spatial = Convolution(channels, wide, 3, stride=stride, activated=True)
    return nn.Sequential(OrderedDict(spatial_conv=spatial, point_conv=Convolution(wide, out)))


def inverted(channels: int, out: int, expand: int, *, stride: int = 1) -> nn.Sequential:
    """MBConv: widen, convolve each channel, project; a norm behind the last alone."""
    wide = channels * expand
    parts = {
        "inverted_conv": Convolution(channels, wide, normed=False, activated=True),
        "depth_conv": Convolution(wide, wide, 3, stride=stride, groups=wide, normed=False, activated=True),
        "point_conv": Convolution(wide, out),
    }
    return nn.Sequential(OrderedDict(parts))


class Residual(nn.Module):
    """What a module makes, added to what goes in unless `added` is false."""

    def __init__(self, main: nn.Module, *, added: bool = True) -> None:
        super().__init__()
        self.main, self.added = main, added

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.main(x)
        return x + made if self.added else made


class AttentionBlock(nn.Module):
    """EfficientViTBlock: linear attention, then an inverted block."""

    def __init__(self, dim: int, expand: int, head_dim: int, kernel: int) -> None:
        super().__init__()
        self.context_module = Residual(LinearAttention(dim, head_dim, kernel))
        self.local_module = Residual(inverted(dim, dim, expand))

    def forward(self, x: Tensor) -> Tensor:
        attended: Tensor = self.local_module(self.context_module(x))
        return attended


class LinearAttention(nn.Module):
    """LiteMLA: ReLU in place of softmax, so that keys meet values first; once more on queries, keys and values that a
    convolution gathers from their surroundings."""

    def __init__(self, dim: int, head_dim: int, kernel: int) -> None:
        super().__init__()
        self.head_dim, wide = head_dim, 3 * dim
        self.qkv = Convolution(dim, wide, normed=False)
        self.qkv.conv.bias = None
        gathered = nn.Conv2d(wide, wide, kernel, padding=kernel // 2, groups=wide, bias=False)
        mixed = nn.Conv2d(wide, wide, 1, groups=wide // head_dim, bias=False)
        self.aggreg = nn.ModuleList([nn.Sequential(gathered, mixed)])
        self.proj = Convolution(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        both = self.qkv(x)
        both = torch.cat([both, self.aggreg[0](both)], dim=1)
        query, key, value = torch.unflatten(both.flatten(2), 1, (-1, 3, self.head_dim)).unbind(
            2
        )  # [1, heads, d, tokens]
        query, key = F.relu(query), F.relu(key)
        value = F.pad(value, (0, 0, 0, 1), value=1.0)  # the last row sums the weights
        summed = value @ key.transpose(2, 3) @ query
        attended = summed[:, :, :-1] / (summed[:, :, -1:] + 1e-15)
        projected: Tensor = self.proj(attended.reshape(1, -1, *x.shape[2:]))
        return projected
