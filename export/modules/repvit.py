"""The image encoder of EdgeTAM: timm's RepViT, its branches folded together, and SAM 2's feature pyramid."""

from typing import Any

import torch
import torch.nn.functional as F
from masklet.export.modules.layers import chained
from torch import Tensor, nn


class RepViTEncoder(nn.Module):
    """An image of uint8 RGB to the three feature maps that the mask decoder and the memory need.

    RepViT trains several branches that are one convolution at inference; timm folds them, and their batch norms, in
    a copy. As in SAM 2 the pyramid's convolutions of the two fine levels are multiplied with conv_s0 and conv_s1.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, model: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """model: transformers' EdgeTamVideoModel. mean, std: of values in 0..1."""
        from timm.utils.model import reparameterize_model

        super().__init__()
        backbone, neck = model.vision_encoder.backbone, model.vision_encoder.neck
        self.backbone = reparameterize_model(backbone.timm_model, inplace=False)
        channels = torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)
        self.register_buffer("scale", (1 / (255 * channels[1])).float()[:, None, None])
        self.register_buffer("shift", (-channels[0] / channels[1]).float()[:, None, None])
        # The pyramid's convolutions are listed from the coarsest level to the finest.
        self.to_coarse, self.to_middle, fine1, fine0 = neck.convs
        self.to_s0 = _pointwise(chained(fine0, model.mask_decoder.conv_s0))
        self.to_s1 = _pointwise(chained(fine1, model.mask_decoder.conv_s1))
        self.top_down = 2 in neck.fpn_top_down_levels

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """image: uint8 [1, side, side, 3]. Returns feat_s0, feat_s1 and vision_feat, [1, channels, height, width]."""
        pixels = image.to(torch.float32).permute(0, 3, 1, 2) * self.scale + self.shift
        fine0, fine1, middle, coarse = self.backbone(pixels)
        vision = self.to_middle(middle)
        if self.top_down:
            vision = vision + F.interpolate(self.to_coarse(coarse), scale_factor=2.0, mode="nearest")
        return self.to_s0(fine0), self.to_s1(fine1), vision


def _pointwise(layer: nn.Linear) -> nn.Conv2d:
    """A linear layer over channels as a 1x1 convolution."""
    convolution = nn.Conv2d(layer.in_features, layer.out_features, 1)
    convolution.weight = nn.Parameter(layer.weight.detach()[:, :, None, None].clone(), requires_grad=False)
    convolution.bias = nn.Parameter(layer.bias.detach().clone(), requires_grad=False)
    return convolution
