"""EdgeTAM's memory: a spatial perceiver squeezes a frame's cells into a few hundred latents, which are attended to.

The first latents of a memory see the whole map and have no place; the others see a window each and lie on a grid.
"""

from typing import Any

import torch
from masklet.export.layers import HalfSplitRotary
from masklet.export.memories import MemoryAttention, MemoryEncoder, sine
from torch import Tensor, nn


class LatentMemoryAttention(MemoryAttention):
    """SAM 2's memory attention over latents."""

    def positions_in_memory(self, model: Any, grid: int) -> Tensor:
        """Nothing for the latents without a place, the sine encoding of their small grid for the others."""
        perceiver = model.spatial_perceiver
        placeless = torch.zeros(1, int(perceiver.num_latents_1d), int(model.mem_dim))
        return torch.cat([placeless, sine(perceiver.positional_encoding, int(model.mem_dim), latent_grid(perceiver))], dim=1)

    def rotary_of_memory(self, model: Any, heads: int) -> HalfSplitRotary:
        """Latents without a place are turned by nothing (cos 1, sin 0), the others by their place on the grid."""
        attention, count = model.memory_attention, int(model.spatial_perceiver.num_latents_1d)
        cos, sin = (t.flatten(0, -2) for t in attention.rotary_emb(torch.zeros(1), attention.position_ids_k))
        still = torch.ones(count, cos.shape[1])
        return HalfSplitRotary(torch.cat([still, cos]), torch.cat([0 * still, sin]), heads)


class LatentMemoryEncoder(MemoryEncoder):
    """SAM 2's memory encoder, then the perceiver. transformers keeps EdgeTAM's bank in float32, and so do we."""

    places: Tensor

    def __init__(self, model: Any, side: int) -> None:
        """model: transformers' EdgeTamVideoModel. side: edge of the image, in pixels."""
        super().__init__(model, side)
        self.grid = side // 16
        self.perceiver: nn.Module = model.spatial_perceiver
        cells = sine(model.memory_encoder.position_encoding, int(model.mem_dim), self.grid)
        self.register_buffer("places", self._map(cells).contiguous())

    def forward(
        self, vision_feat: Tensor, low_res_mask: Tensor, binarize: Tensor, object_score: Tensor | None = None
    ) -> Tensor:
        """Shapes as the stage declares them. Returns new_memory [objects, latents, 64]."""
        memory = self._map(self.fused(vision_feat, low_res_mask, binarize, object_score))
        latents: Tensor = self.perceiver(memory, self.places.expand(memory.shape[0], -1, -1, -1))[0]
        return latents

    def _map(self, cells: Tensor) -> Tensor:
        return torch.unflatten(cells.transpose(1, 2), 2, (self.grid, self.grid))


def latent_grid(perceiver: Any) -> int:
    """Edge of the grid on which a perceiver's second latents lie."""
    return round(float(perceiver.num_latents_2d) ** 0.5)
