"""SAM 2's memory: attention of the current frame to what was kept, and the encoding of a frame to be kept."""

from typing import Any

import torch
import torch.nn.functional as F
from masklet.export.modules.layers import (
    AxialTable,
    HalfSplitRotary,
    attend,
    followed,
    half_split_rows,
    linear,
    with_value_bias,
    without_bias,
)
from torch import Tensor, nn

FEW_CHANNELS = 16  # that are normalised faster map by map than cell by cell


class MemoryAttentionLayer(nn.Module):
    """Self-attention, cross-attention to the memory and a perceptron, each on a normed residual stream."""

    def __init__(self, layer: Any, rotary: HalfSplitRotary, memory_rotary: HalfSplitRotary) -> None:
        """layer: transformers' own. rotary, memory_rotary: of the frame's cells and of a memory's."""
        super().__init__()
        own, cross = layer.self_attn, layer.cross_attn_image
        self.rotary, self.memory_rotary = rotary, memory_rotary
        self.heads, self.scale = int(own.num_attention_heads), float(own.scaling)
        rows = half_split_rows(own.internal_dim, self.heads)
        self.own_query, self.own_key, self.cross_query, self.cross_key = (
            linear(p.weight[rows], p.bias[rows]) for p in (own.q_proj, own.k_proj, cross.q_proj, cross.k_proj)
        )
        self.own_value, self.own_out = without_bias(own.v_proj), with_value_bias(own.o_proj, own.v_proj.bias)
        self.cross_out = self._absorb_value(cross)
        self.norm1, self.norm2, self.norm3 = layer.layer_norm1, layer.layer_norm2, layer.layer_norm3
        inner = layer.mlp if hasattr(layer, "mlp") else nn.Sequential(layer.linear1, layer.activation, layer.linear2)
        self.perceptron: nn.Module = inner

    @staticmethod
    def _absorb_value(cross: Any) -> nn.Linear:
        """Wo Wv as one projection of attended raw memory, for each head side by side.

        Rows of a softmax sum to 1, so P (M Wv + bv) Wo + bo = (P M) Wv Wo + (bv Wo + bo): exact, and the values
        shrink from the model's width to the memory's 64 channels.
        """
        heads = int(cross.num_attention_heads)
        out, value = cross.o_proj.weight.detach().double(), cross.v_proj.weight.detach().double()
        by_head = zip(out.chunk(heads, dim=1), value.chunk(heads, dim=0), strict=True)
        bias = with_value_bias(cross.o_proj, cross.v_proj.bias).bias
        return linear(torch.cat([o @ v for o, v in by_head], dim=1), bias)

    def attend_itself(self, x: Tensor) -> Tensor:
        """x: [objects or 1, positions, C]. Adds the self-attention."""
        normed = self.norm1(x)
        query, key = self.rotary(self.own_query(normed)), self.rotary(self.own_key(normed))
        added: Tensor = self.own_out(attend(query, key, self.own_value(normed), self.heads, self.scale))
        return x + added

    def attend_memory(self, x: Tensor, spatial: Tensor, pointer_keys: Tensor, values: Tensor) -> Tensor:
        """Add the cross-attention and the perceptron.

        x: [objects or 1, positions, C]; spatial: keys [objects, memories, positions, 64], rotated here;
        pointer_keys: [objects, tokens, 64], not rotated; values: [objects, memories * positions + tokens, heads * 64].
        """
        query = self.rotary(self.cross_query(self.norm2(x))).expand(values.shape[0], -1, -1)
        turned = self.memory_rotary(self.cross_key(spatial.flatten(0, 1)))
        turned = self.attended_keys(torch.unflatten(turned, 0, spatial.shape[:2]))
        keys = torch.cat([turned, self.cross_key(pointer_keys)], dim=1)
        x = x + self.cross_out(self.mixed(query, keys, values))
        added: Tensor = self.perceptron(self.norm3(x))
        return x + added

    def attended_keys(self, turned: Tensor) -> Tensor:
        """What is attended to of rotated keys [objects, memories, positions, C]: all of them, [objects, tokens, C]."""
        return turned.flatten(1, 2)

    def mixed(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """The attended values, [objects, positions, heads * 64]."""
        return attend(query, keys, values, self.heads, self.scale)


class MemoryAttention(nn.Module):
    """The current frame's features, conditioned on each object's memories and pointers (sam2_base.py 498-640).

    The first layer's self-attention sees the frame alone and is computed once for all objects.
    """

    temporal: Tensor
    periods: Tensor

    layer: type[MemoryAttentionLayer] = MemoryAttentionLayer

    def __init__(self, model: Any, neck: Any, grid: tuple[int, int]) -> None:
        """model: transformers' Sam2VideoModel. neck: its feature pyramid. grid: rows and columns of the feature map."""
        super().__init__()
        attention = model.memory_attention
        self.grid = grid
        self.memory_width = int(model.mem_dim)
        self.positions = AxialTable(0.1 * sine(neck.position_encoding, model.hidden_dim, grid)[0], grid)
        self.memory_positions = self.positions_in_memory(model)
        self.register_buffer("temporal", model.memory_temporal_positional_encoding.detach().flatten(1).clone())
        self.time_projection = model.temporal_positional_encoding_projection_layer
        half = int(model.hidden_dim) // 2  # get_1d_sine_pe: temperature 10000
        self.register_buffer("periods", 10000 ** (2 * (torch.arange(half) // 2) / half))
        cos, sin = attention.rotary_emb(torch.zeros(1), attention.position_ids)
        heads = int(model.config.memory_attention_num_attention_heads)
        self.rotary = HalfSplitRotary(cos.flatten(0, -2), sin.flatten(0, -2), heads, grid)
        memory_rotary = self.rotary_of_memory(model, heads)
        self.layers = nn.ModuleList(self.layer(one, self.rotary, memory_rotary) for one in attention.layers)
        self.norm = attention.layer_norm

    def positions_in_memory(self, model: Any) -> nn.Module:
        """A table [positions, 64] of where the tokens of one memory lie: cell by cell in SAM 2."""
        return AxialTable(sine(model.memory_encoder.position_encoding, int(model.mem_dim), self.grid)[0], self.grid)

    def rotary_of_memory(self, model: Any, heads: int) -> HalfSplitRotary:
        """How the keys of one memory are rotated: as the frame's cells in SAM 2."""
        return self.rotary

    def forward(
        self,
        vision_feat: Tensor,
        memory: Tensor,
        memory_time: Tensor,
        pointers: Tensor,
        pointer_time: Tensor | None = None,
    ) -> Tensor:
        """Shapes as the stage declares them; pointer_time is None for SAM 2.0. Returns image_embed."""
        x = vision_feat.flatten(2).transpose(1, 2) + self.positions()
        when = F.embedding(memory_time, self.temporal)[:, :, None]
        spatial = memory + (self.memory_positions() + when)
        split = self._pointer_tokens(pointers)
        keys = split if pointer_time is None else self._pointer_tokens(pointers, pointer_time)
        values = self.attended_values(memory, split)
        heads = self.rotary.heads
        values = values if heads == 1 else values.repeat(1, 1, heads)
        for layer in self.layers:
            x = layer.attend_itself(x)  # type: ignore[operator]
            x = layer.attend_memory(x, spatial, keys, values)  # type: ignore[operator]
        normed: Tensor = self.norm(x)
        return torch.unflatten(normed.transpose(1, 2), 2, self.grid)

    def attended_values(self, memory: Tensor, pointers: Tensor) -> Tensor:
        """What is attended to of memories [objects, memories, positions, 64] and pointers [objects, tokens, 64]."""
        return torch.cat([memory.flatten(1, 2), pointers], dim=1)

    def _pointer_tokens(self, pointers: Tensor, pointer_time: Tensor | None = None) -> Tensor:
        """Pointers [objects, count, C] as tokens [objects, count * C / 64, 64], with their distance in time added."""
        tokens = torch.unflatten(pointers, 2, (-1, self.memory_width))
        if pointer_time is not None:
            angle = pointer_time[:, :, None] / self.periods
            tokens = tokens + self.time_projection(torch.cat([angle.sin(), angle.cos()], dim=-1))[:, :, None]
        return tokens.flatten(1, 2)


class NormedConvolution(nn.Module):
    """A convolution to few channels and the norm over them, map by map.

    ONNX Runtime normalises cell by cell, which for the 512 x 512 cells of 4 channels that a mask's first convolution
    makes costs more than all of a mask's convolutions. The mean over channels is a convolution as well: with it taken
    from the weights, what comes out has mean zero, and is only to be divided by its root mean square.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, convolution: Any, norm: nn.LayerNorm) -> None:
        """convolution, norm: the layers of transformers' that follow each other."""
        super().__init__()
        channels = int(convolution.out_channels)
        self.centred = followed(convolution, linear(torch.eye(channels) - 1 / channels, torch.zeros(channels)))
        self.eps = norm.eps
        self.register_buffer("scale", norm.weight.detach().float()[:, None, None])
        self.register_buffer("shift", norm.bias.detach().float()[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """x: [objects, channels, H, W]. Returns [objects, channels of the convolution, H', W']."""
        centred: Tensor = self.centred(x)
        return centred * (torch.rsqrt((centred * centred).mean(1, keepdim=True) + self.eps) * self.scale) + self.shift


def mask_downsampler(given: Any) -> nn.Sequential:
    """transformers' Sam2VideoMaskDownSampler, with the norms that `NormedConvolution` is for in its form."""
    steps: list[nn.Module] = []
    for layer in given.layers:
        few = layer.conv.out_channels <= FEW_CHANNELS
        steps += [NormedConvolution(layer.conv, layer.layer_norm)] if few else [layer.conv, layer.layer_norm]
        steps.append(layer.activation)
    return nn.Sequential(*steps, given.final_conv)


class MemoryEncoder(nn.Module):
    """A frame's features and an object's mask to the memory that is kept (sam2_base.py 682-732)."""

    def __init__(self, model: Any, hw: tuple[int, int]) -> None:
        """model: transformers' Sam2VideoModel. hw: height and width that masks are enlarged to, in pixels."""
        super().__init__()
        encoder = model.memory_encoder
        self.hw = hw
        self.downsample, self.project = mask_downsampler(encoder.mask_downsampler), encoder.feature_projection
        self.fuse, self.out = encoder.memory_fuser, encoder.projection
        self.scale = float(model.config.sigmoid_scale_for_mem_enc)
        self.bias = float(model.config.sigmoid_bias_for_mem_enc)
        self.occlusion = model.occlusion_spatial_embedding_parameter

    def forward(
        self, vision_feat: Tensor, low_res_mask: Tensor, binarize: Tensor, object_score: Tensor | None = None
    ) -> Tensor:
        """Shapes as the stage declares them; object_score is None for SAM 2.0. Returns new_memory, bf16-rounded.

        Both references keep the bank in bfloat16; rounding here keeps every runtime's bank the same.
        """
        memory = self.fused(vision_feat, low_res_mask, binarize, object_score)
        return memory.to(torch.bfloat16).to(torch.float32)

    def fused(
        self, vision_feat: Tensor, low_res_mask: Tensor, binarize: Tensor, object_score: Tensor | None = None
    ) -> Tensor:
        """The memory as one token a cell, [objects, g * g, 64], before any rounding."""
        logits = F.interpolate(low_res_mask, size=self.hw, mode="bilinear", align_corners=False)
        hard = (binarize > 0)[:, None, None, None]
        mask = torch.where(hard, (logits > 0).to(logits.dtype), torch.sigmoid(logits)) * self.scale + self.bias
        # In this order: the other way round OpenVINO 2026.4 adds the one map of the frame into itself for every object.
        fused = self.fuse(self.downsample(mask) + self.project(vision_feat))
        memory: Tensor = self.out(fused).flatten(2).transpose(1, 2)
        if object_score is not None:
            memory = memory + ((object_score <= 0).to(memory.dtype) * self.occlusion)[:, None]
        return memory


def sine(encoding: Any, width: int, grid: tuple[int, int]) -> Tensor:
    """What a sine position encoding of the model adds to a map of rows x columns, as [1, rows * columns, width]."""
    with torch.no_grad():
        table = encoding(torch.Size((1, width, *grid)), torch.device("cpu"), torch.float32)
    places: Tensor = table.flatten(2).transpose(1, 2).contiguous().clone()
    return places
