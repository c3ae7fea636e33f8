"""SAM 3's geometry encoder: box exemplars, positive and negative, to what the detector attends to."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from masklet.export.modules.layers import Attention, linear, padding_bias
from masklet.export.modules.memories import sine
from torch import Tensor, nn


class SineOfNumbers(nn.Module):
    """Sines and cosines of numbers in 0..1 at many periods, taking turns; a cosine is a sine a quarter further on."""

    rates: Tensor
    phases: Tensor

    def __init__(self, encoding: Any) -> None:
        """encoding: transformers' Sam3SinePositionEmbedding."""
        super().__init__()
        count = int(encoding.num_position_features)
        channel = torch.arange(count, dtype=torch.float64)
        periods = float(encoding.temperature) ** (2 * (channel // 2) / count)
        self.register_buffer("rates", (float(encoding.scale) / periods).float())
        self.register_buffer("phases", (channel % 2 * (math.pi / 2)).float())

    def forward(self, numbers: Tensor) -> Tensor:
        """numbers: [...]. Returns [..., features]."""
        return torch.sin(numbers[..., None] * self.rates + self.phases)


class RegionPooling(nn.Module):
    """The mean of a map in every cell of a grid that is laid over a box: torchvision's roi_align, as two products.

    A bilinear sample is a weighted sum of rows and of columns, and so is the mean of a cell's samples: each axis has a
    matrix of weights. As there (aligned=False, sampling_ratio=-1) a box is at least a cell wide, has as many samples a
    cell as it covers, and none a cell or more outside the map.
    """

    places: Tensor
    cells: Tensor
    samples: Tensor

    def __init__(self, grid: int, cells: int) -> None:
        """grid: edge of the map. cells: edge of the grid over a box. Boxes may reach out, but are no wider than it."""
        super().__init__()
        self.register_buffer("places", torch.arange(grid, dtype=torch.float32))
        self.register_buffer("cells", torch.arange(cells, dtype=torch.float32)[:, None])
        self.register_buffer("samples", torch.arange(math.ceil(grid / cells), dtype=torch.float32) + 0.5)

    def forward(self, feature_map: Tensor, boxes: Tensor) -> Tensor:
        """feature_map: [1, C, grid, grid]; boxes: [phrases, boxes, 4], left, top, right, bottom in 0..1.

        Returns [phrases, boxes, C, cells, cells].
        """
        left, top, right, bottom = (boxes * len(self.places)).unbind(-1)
        across, down = self._weights(left, right), self._weights(top, bottom)
        rows = torch.matmul(feature_map[:, None], across.transpose(2, 3)[:, :, None])
        return torch.matmul(down[:, :, None], rows)

    def _weights(self, first: Tensor, last: Tensor) -> Tensor:
        """Of one axis, first and last [phrases, boxes] in cells of the map. Returns [phrases, boxes, cells, grid]."""
        grid = len(self.places)
        width = (last - first).clamp(min=1)[:, :, None, None] / len(self.cells)
        count = torch.ceil(width)
        at = first[:, :, None, None] + width * (self.cells + self.samples / count)
        taken = (self.samples < count) & (at >= -1) & (at <= grid)
        near = (1 - (at.clamp(0, grid - 1)[..., None] - self.places).abs()).clamp(min=0)
        return (near * taken[..., None].to(near.dtype)).sum(dim=-2) / count


class ExemplarLayer(nn.Module):
    """Exemplars attend to one another and to the image, then pass a perceptron."""

    def __init__(self, layer: Any) -> None:
        """layer: transformers' Sam3GeometryEncoderLayer."""
        super().__init__()
        self.own, self.cross, self.perceptron = Attention(layer.self_attn), Attention(layer.cross_attn), layer.mlp
        self.norm1, self.norm2, self.norm3 = layer.layer_norm1, layer.layer_norm2, layer.layer_norm3

    def forward(self, x: Tensor, bias: Tensor, placed: Tensor, vision: Tensor) -> Tensor:
        """x: [phrases, tokens, C]; placed, vision: [1, cells, C], with and without positions."""
        normed = self.norm1(x)
        x = x + self.own.biased(normed, normed, normed, bias)
        x = x + self.cross.biased(self.norm2(x), placed, vision, None)
        added: Tensor = self.perceptron(self.norm3(x))
        return x + added


class ExemplarEncoder(nn.Module):
    """Boxes to features: where they are, what is in them, and whether they show what is wanted (geometry_encoders.py).

    The reference puts the CLS behind the last valid box. Here it comes last of all: tokens are a set, and nothing has
    to be scattered.
    """

    positions: Tensor

    def __init__(self, encoder: Any, neck: Any, grid: int) -> None:
        """encoder: transformers' Sam3GeometryEncoder. neck: the detector's pyramid. grid: edge of its coarse map."""
        super().__init__()
        self.encoder = encoder
        self.register_buffer("positions", sine(neck.position_encoding, int(encoder.hidden_size), (grid, grid)))
        self.pooling, self.sines = RegionPooling(grid, int(encoder.roi_size)), SineOfNumbers(encoder.position_encoding)
        self.pooled = linear(encoder.boxes_pool_project.weight.flatten(1), encoder.boxes_pool_project.bias)
        self.layers = nn.ModuleList(ExemplarLayer(each) for each in encoder.layers)

    def forward(self, det_fpn2: Tensor, boxes: Tensor, box_labels: Tensor, box_valid: Tensor) -> tuple[Tensor, Tensor]:
        """Shapes as the stage declares them. Returns exemplar_feat, zeros where a box is padding, and geometry_cls."""
        encoder, vision = self.encoder, det_fpn2.flatten(2).transpose(1, 2)
        embedded = self._boxes(det_fpn2, boxes) + F.embedding(box_labels, encoder.label_embed.weight)
        cls = encoder.cls_embed.weight[None].expand(boxes.shape[0], -1, -1)
        x = encoder.prompt_layer_norm(encoder.final_proj(torch.cat([embedded, cls], dim=1)))
        bias = padding_bias(torch.cat([box_valid, torch.ones_like(box_valid[:, :1])], dim=1))
        placed = vision + self.positions
        for layer in self.layers:
            x = layer(x, bias, placed, vision)
        x = encoder.output_layer_norm(x)
        return x[:, :-1] * box_valid[:, :, None], x[:, -1:]

    def _boxes(self, det_fpn2: Tensor, boxes: Tensor) -> Tensor:
        encoder = self.encoder
        normed = encoder.vision_layer_norm(det_fpn2.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        inside = self.pooling(normed, as_edges(boxes))
        across, down, width, height = boxes.unbind(-1)
        place = torch.cat([self.sines(down), self.sines(across), height[..., None], width[..., None]], dim=-1)
        inside = self.pooled(inside.flatten(2))
        embedded: Tensor = inside + encoder.boxes_direct_project(boxes) + encoder.boxes_pos_enc_project(place)
        return embedded


def as_edges(boxes: Tensor) -> Tensor:
    """Boxes [..., 4] of centre and size as left, top, right, bottom."""
    centre, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)
