"""The image encoder of EfficientTAM: SAM's ViT without relative positions, for frames that fill the whole square."""

from typing import Any

import torch
from masklet.export.modules.vit import ViTBlock
from torch import Tensor, nn


class PlainViTEncoder(nn.Module):
    """An image of uint8 RGB to the one feature map that the memory and the mask decoder need.

    Standard deviation and mean are in the patch embedding, which has no padding; with its bias and the stretched
    position encodings the mean's share is one constant map.
    """

    offset: Tensor

    def __init__(self, encoder: Any, side: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """encoder: EfficientTamVisionModel. side: edge of the image, in pixels. mean, std: of values in 0..1."""
        super().__init__()
        patch = encoder.patch_embed.projection
        channels = torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)
        scaled = patch.weight.detach().double() / channels[1][:, None, None]
        grey = (scaled * channels[0][:, None, None]).sum(dim=(1, 2, 3))
        self.patch = nn.Conv2d(3, len(scaled), patch.kernel_size, patch.stride, bias=False)
        self.patch.weight = nn.Parameter(scaled.float(), requires_grad=False)
        with torch.no_grad():
            offset = encoder.positions().double() + (patch.bias.detach().double() - grey)
        self.register_buffer("offset", offset.float())
        tokens = side // int(patch.kernel_size[0])
        self.blocks = nn.Sequential(*(ViTBlock(layer, tokens) for layer in encoder.layers))
        self.neck = encoder.neck

    def forward(self, image: Tensor) -> Tensor:
        """image: uint8 [1, side, side, 3]. Returns vision_feat [1, C, side / 16, side / 16]."""
        # The cast comes first: TensorRT takes bytes as an input, and does nothing else with them.
        pixels = image.to(torch.float32).permute(0, 3, 1, 2) * (1 / 255)
        vision: Tensor = self.neck(self.blocks(self.patch(pixels).permute(0, 2, 3, 1) + self.offset))
        return vision
