"""The image encoder of SAM 2: a Hiera backbone and a feature pyramid, for one image size."""

from typing import Any

import torch
import torch.nn.functional as F
from masklet.export.modules.layers import attend, chained, linear, with_value_bias
from torch import Tensor, nn


def tile(feature_map: Tensor, window: int) -> Tensor:
    """Cut a map [1, height, width, C] into windows [count, window, window, C], zero-padded below and to the right."""
    _, height, width, channels = feature_map.shape
    down, right = -height % window, -width % window
    if down or right:
        feature_map = F.pad(feature_map, (0, 0, 0, right, 0, down))
    rows, columns = (height + down) // window, (width + right) // window
    grid = feature_map.reshape(rows, window, columns, window, channels)
    return grid.permute(0, 2, 1, 3, 4).reshape(rows * columns, window, window, channels)


def untile(windows: Tensor, height: int, width: int) -> Tensor:
    """Put windows [count, window, window, C] together to a map [1, height, width, C], dropping the padding."""
    _, window, _, channels = windows.shape
    rows, columns = -(-height // window), -(-width // window)
    grid = windows.reshape(rows, columns, window, window, channels).permute(0, 2, 1, 3, 4)
    feature_map = grid.reshape(1, rows * window, columns * window, channels)
    return feature_map[:, :height, :width]


class HieraBlock(nn.Module):
    """One block of Hiera: attention within windows (or the whole map), then a perceptron.

    The residual stream stays cut into windows from block to block as long as the windows cover the map exactly:
    pooling shrinks a window of 8 to the window of 4 that the next stage uses, so the large maps of the first two
    stages are never put together in between. Where windows need padding, the stream is the whole map.
    """

    def __init__(self, block: Any, hw: tuple[int, int], incoming: int) -> None:
        """block: transformers' Sam2MultiScaleBlock. hw: height and width of its input map.
        incoming: window of the stream that it receives; 0 is the whole map."""
        super().__init__()
        self.norm1, self.norm2, self.perceptron = block.layer_norm1, block.layer_norm2, block.mlp
        # Three layers and not one that is split afterwards: splitting copies all of it. See `without_bias`.
        weights, biases = block.attn.qkv.weight.chunk(3), block.attn.qkv.bias.chunk(3)
        self.query, self.key, self.value = linear(weights[0], biases[0]), linear(weights[1]), linear(weights[2])
        self.out = with_value_bias(block.attn.proj, biases[2])
        self.heads, self.scale = int(block.attn.num_attention_heads), float(block.attn.scale)
        self.widen = block.proj if block.dim != block.dim_out else None
        self.pool = int(block.query_stride[0]) if block.query_stride else 1
        self.hw, self.incoming = hw, incoming
        self.window = int(block.window_size)
        self.exact = self.window > 0 and not any(edge % self.window for edge in hw)
        self.stream = self.window if self.exact else 0
        self.outgoing = self.stream // self.pool
        self.outgoing_hw = (hw[0] // self.pool, hw[1] // self.pool)

    def forward(self, x: Tensor) -> Tensor:
        """x: [windows, incoming, incoming, C], or the map [1, height, width, C]. Returns the same in the new width."""
        if self.incoming != self.stream:
            x = untile(x, *self.hw) if self.incoming else x
            x = tile(x, self.stream) if self.stream else x
        normed = self.norm1(x)
        residual = x if self.widen is None else self._pooled(self.widen, normed)
        x = residual + self._attention(normed)
        added: Tensor = self.perceptron(self.norm2(x))
        return x + added

    def _attention(self, normed: Tensor) -> Tensor:
        padded = self.window > 0 and not self.exact
        windows = tile(normed, self.window) if padded else normed
        query, key, value = self._pooled(self.query, windows), self.key(windows), self.value(windows)
        mixed = attend(query.flatten(1, 2), key.flatten(1, 2), value.flatten(1, 2), self.heads, self.scale)
        mixed = mixed.reshape(query.shape)
        if padded:  # the padding goes before the projection, not after it: fewer rows
            mixed = untile(mixed, *self.outgoing_hw)
        projected: Tensor = self.out(mixed)
        return projected

    def _pooled(self, project: nn.Linear, x: Tensor) -> Tensor:
        """The largest projection of each square of pool x pool cells, first of its rows and then of its columns.

        Two reductions of contiguous channels; a pooling operator would want the channels first, and back. The bias is
        the same for all cells and comes last, where there are fewer.
        """
        if self.pool == 1:
            projected: Tensor = project(x)
            return projected
        x = F.linear(x, project.weight)
        windows, height, width, channels = x.shape
        rows = x.reshape(windows * height // self.pool, self.pool, width * channels).amax(dim=1)
        columns = rows.reshape(windows * height * width // self.pool**2, self.pool, channels).amax(dim=1)
        return columns.reshape(windows, height // self.pool, width // self.pool, channels) + project.bias


class HieraEncoder(nn.Module):
    """An image of uint8 RGB to the three feature maps that the mask decoder and the memory need.

    Exact rewrites of transformers' Sam2VisionModel: position encoding, bias and mean of the patch embedding are one
    constant map (the mean's share falls off at the borders, where the convolution pads with zeros); the standard
    deviation is in the patch weights; the pyramid's lateral convolutions of the two fine levels are multiplied with
    the decoder's conv_s0 and conv_s1.
    """

    offset: Tensor

    def __init__(self, model: Any, hw: tuple[int, int], mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """model: transformers' Sam2VideoModel. hw: of the image, in pixels. mean, std: of values in 0..1."""
        super().__init__()
        backbone, neck = model.vision_encoder.backbone, model.vision_encoder.neck
        map_hw = self._embed(backbone, hw, torch.tensor(mean), torch.tensor(std))
        self.blocks = nn.ModuleList()
        window = self.window
        for source in backbone.blocks:
            block = HieraBlock(source, map_hw, window)
            self.blocks.append(block)
            window, map_hw = block.outgoing, block.outgoing_hw
        self.stage_ends = list(backbone.stage_ends)
        # The pyramid's convolutions are listed from the coarsest level to the finest.
        coarse, middle, fine1, fine0 = neck.convs
        self.to_s0 = chained(fine0, model.mask_decoder.conv_s0)
        self.to_s1 = chained(fine1, model.mask_decoder.conv_s1)
        self.to_middle, self.to_coarse = (linear(c.weight.flatten(1), c.bias) for c in (middle, coarse))
        self.top_down = 2 in neck.fpn_top_down_levels

    def _embed(self, backbone: Any, hw: tuple[int, int], mean: Tensor, std: Tensor) -> tuple[int, int]:
        """Make the patch embedding and what is added to it; returns the size of its map."""
        patch = backbone.patch_embed.projection
        channel = (1, -1, 1, 1)
        scaled = patch.weight.detach().double() / std.double().reshape(channel)
        grey = mean.double().reshape(channel).expand(1, -1, *hw)
        with torch.no_grad():
            absent = F.conv2d(grey, scaled, None, patch.stride, patch.padding).permute(0, 2, 3, 1)
            position = backbone._get_pos_embed(absent.shape[1:3]).double()
        self.patch = nn.Conv2d(3, len(scaled), patch.kernel_size, patch.stride, patch.padding, bias=False)
        self.patch.weight = nn.Parameter(scaled.float(), requires_grad=False)
        map_hw = (absent.shape[1], absent.shape[2])
        first = int(backbone.blocks[0].window_size)
        self.window = first if first and not any(edge % first for edge in map_hw) else 0
        offset = (position + patch.bias.detach().double() - absent).float()
        self.register_buffer("offset", tile(offset, self.window) if self.window else offset)
        return map_hw

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """image: uint8 [1, height, width, 3]. Returns feat_s0, feat_s1, vision_feat, [1, channels, rows, columns]."""
        # The cast comes first: TensorRT takes bytes as an input, and does nothing else with them.
        pixels = image.to(torch.float32).permute(0, 3, 1, 2) * (1 / 255)
        x = self.patch(pixels).permute(0, 2, 3, 1)
        x = (tile(x, self.window) if self.window else x) + self.offset
        levels = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.stage_ends:
                levels.append((x, block))
        fine0, fine1 = self._map(*levels[0], self.to_s0), self._map(*levels[1], self.to_s1)
        vision = self._map(*levels[2], self.to_middle)
        if self.top_down:
            vision = vision + F.interpolate(self._map(*levels[3], self.to_coarse), scale_factor=2.0, mode="nearest")
        return fine0, fine1, vision

    @staticmethod
    def _map(x: Tensor, block: Any, project: nn.Linear) -> Tensor:
        projected: Tensor = project(x)
        if block.outgoing:
            projected = untile(projected, *block.outgoing_hw)
        return projected.permute(0, 3, 1, 2)
