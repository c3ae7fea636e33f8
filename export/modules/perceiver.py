"""EdgeTAM's memory: a spatial perceiver squeezes a frame's cells into a few hundred latents, which are attended to.

The first latents of a memory see the whole map and have no place; the others see a window each and lie on a grid.
"""

import math
from typing import Any

import torch
from masklet.export.modules.layers import HalfSplitRotary, Table, attend
from masklet.export.modules.memories import MemoryAttention, MemoryEncoder, sine
from torch import Tensor, nn


class LatentMemoryAttention(MemoryAttention):
    """SAM 2's memory attention over latents."""

    def positions_in_memory(self, model: Any) -> nn.Module:
        """Nothing for the latents without a place, the sine encoding of their small grid for the others."""
        perceiver = model.spatial_perceiver
        placeless, edge = torch.zeros(int(perceiver.num_latents_1d), int(model.mem_dim)), latent_grid(perceiver)
        return Table(torch.cat([placeless, sine(perceiver.positional_encoding, int(model.mem_dim), (edge, edge))[0]]))

    def rotary_of_memory(self, model: Any, heads: int) -> HalfSplitRotary:
        """Latents without a place are turned by nothing (cos 1, sin 0), the others by their place on the grid."""
        attention, count = model.memory_attention, int(model.spatial_perceiver.num_latents_1d)
        cos, sin = (t.flatten(0, -2) for t in attention.rotary_emb(torch.zeros(1), attention.position_ids_k))
        still = torch.ones(count, cos.shape[1])
        return HalfSplitRotary(torch.cat([still, cos]), torch.cat([0 * still, sin]), heads)


class PerceiverLayer(nn.Module):
    """Latents attend to cells, pass a perceptron, attend to each other and pass another."""

    def __init__(self, layer: Any) -> None:
        """layer: transformers' EdgeTamVideoPerceiverEncoderLayer."""
        super().__init__()
        self.layer = layer

    def forward(self, latents: Tensor, cells: Tensor, places: Tensor | None) -> Tensor:
        """latents: [sets, latents, 64]; cells: [sets, cells, 64]; places: added to keys and values, [1, cells, 64]."""
        layer = self.layer
        latents = latents + _attend(
            layer.cross_attention, layer.layer_norm_latents(latents), layer.layer_norm_input(cells), places
        )
        latents = latents + layer.mlp(latents)
        normed = layer.layer_norm_self(latents)
        latents = latents + _attend(layer.self_attention, normed, normed, None)
        moved: Tensor = latents + layer.self_mlp(latents)
        return moved


def _attend(attention: Any, asking: Tensor, asked: Tensor, places: Tensor | None) -> Tensor:
    key, value = attention.k_proj(asked), attention.v_proj(asked)
    if places is not None:
        key, value = key + places, value + places
    heads, scale = int(attention.num_attention_heads), float(attention.scaling)
    mixed: Tensor = attention.o_proj(attend(attention.q_proj(asking), key, value, heads, scale))
    return mixed


class Perceiver(nn.Module):
    """transformers' EdgeTamVideoPerceiverResampler for any number of objects; its own takes one."""

    places: Tensor

    def __init__(self, perceiver: Any, places: Tensor) -> None:
        """places: [1, cells, 64], the sine encoding of the map."""
        super().__init__()
        self.latents_1d, self.latents_2d = perceiver.latents_1d, perceiver.latents_2d
        self.layers = nn.ModuleList(PerceiverLayer(layer) for layer in perceiver.layers)
        self.norm = perceiver.layer_norm
        self.window = math.isqrt(places.shape[1]) // latent_grid(perceiver)
        self.register_buffer("places", places)

    def forward(self, cells: Tensor) -> Tensor:
        """cells: [objects, g * g, 64]. Returns [objects, latents, 64]: the placeless ones, then those on the grid."""
        count, side = cells.shape[0], math.isqrt(self.places.shape[1])
        whole = self.latents_1d.expand(count, -1, -1)
        windows = _windows(torch.unflatten(cells, 1, (side, side)), self.window)
        local = self.latents_2d.expand(count, -1, -1).flatten(0, 1)[:, None]
        for layer in self.layers:
            whole = layer(whole, cells, self.places)
            local = layer(local, windows, None)
        local = local.reshape(count, -1, local.shape[-1])
        latents: Tensor = self.norm(torch.cat([whole, local], dim=1))
        return latents


def _windows(maps: Tensor, window: int) -> Tensor:
    """Cut maps [objects, g, g, 64] into windows of cells, [objects * windows, window * window, 64], row by row."""
    count, side, _, width = maps.shape
    across = side // window
    cut = maps.reshape(count, across, window, across, window, width).permute(0, 1, 3, 2, 4, 5)
    return cut.reshape(count * across**2, window**2, width)


class LatentMemoryEncoder(MemoryEncoder):
    """SAM 2's memory encoder, then the perceiver. Meta's bank is in bfloat16 here too, transformers' in float32."""

    def __init__(self, model: Any, side: int) -> None:
        """model: transformers' EdgeTamVideoModel. side: edge of the image, in pixels."""
        super().__init__(model, (side, side))
        places = sine(model.memory_encoder.position_encoding, int(model.mem_dim), (side // 16, side // 16))
        self.perceiver = Perceiver(model.spatial_perceiver, places)

    def forward(
        self, vision_feat: Tensor, low_res_mask: Tensor, binarize: Tensor, object_score: Tensor | None = None
    ) -> Tensor:
        """Shapes as the stage declares them. Returns new_memory [objects, latents, 64], bf16-rounded (vp 770)."""
        latents: Tensor = self.perceiver(self.fused(vision_feat, low_res_mask, binarize, object_score))
        return latents.to(torch.bfloat16).to(torch.float32)


def latent_grid(perceiver: Any) -> int:
    """Edge of the grid on which a perceiver's second latents lie."""
    return math.isqrt(int(perceiver.num_latents_2d))
