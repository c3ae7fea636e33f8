"""SAM 3's detector: image and prompt are fused, queries find boxes with scores, and some become masks."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from masklet.export.modules.exemplars import SineOfNumbers, as_edges
from masklet.export.modules.layers import Attention, linear, padding_bias
from masklet.export.modules.memories import sine
from torch import Tensor, nn


class FusionLayer(nn.Module):
    """The image's cells attend to one another and to the prompt, then pass a perceptron."""

    def __init__(self, layer: Any) -> None:
        """layer: transformers' Sam3DetrEncoderLayer."""
        super().__init__()
        self.own, self.cross, self.perceptron = Attention(layer.self_attn), Attention(layer.cross_attn), layer.mlp
        self.norm1, self.norm2, self.norm3 = layer.layer_norm1, layer.layer_norm2, layer.layer_norm3

    def forward(self, cells: Tensor, positions: Tensor, prompt: Tensor, bias: Tensor) -> Tensor:
        """cells: [phrases or 1, cells, C]; prompt: [phrases, tokens, C]. Returns [phrases, cells, C].

        Cells that no prompt has touched yet are the same for all phrases, and attend to one another once.
        """
        normed = self.norm1(cells)
        placed = normed + positions
        cells = cells + self.own(placed, placed, normed)
        cells = cells + self.cross.biased(self.norm2(cells), prompt, prompt, bias)
        added: Tensor = self.perceptron(self.norm3(cells))
        return cells + added


class QueryLayer(nn.Module):
    """Queries attend to one another, to the prompt and to the image, and pass a perceptron."""

    def __init__(self, layer: Any) -> None:
        """layer: transformers' Sam3DetrDecoderLayer."""
        super().__init__()
        self.own, self.text, self.vision = (
            Attention(each) for each in (layer.self_attn, layer.text_cross_attn, layer.vision_cross_attn)
        )
        self.norm1, self.norm2 = layer.self_attn_layer_norm, layer.text_cross_attn_layer_norm
        self.norm3, self.norm4 = layer.vision_cross_attn_layer_norm, layer.mlp_layer_norm
        self.perceptron = layer.mlp

    def forward(
        self, x: Tensor, where: Tensor, prompt: Tensor, bias: Tensor, cells: tuple[Tensor, Tensor], near: Tensor
    ) -> Tensor:
        """x, where: [phrases, 1 + queries, C]; cells: with positions and without; near: bias towards the boxes."""
        placed = x + where
        x = self.norm1(x + self.own(placed, placed, x))
        x = self.norm2(x + self.text.biased(x + where, prompt, prompt, bias))
        x = self.norm3(x + self.vision.biased(x + where, *cells, near))
        done: Tensor = self.norm4(x + self.perceptron(x))
        return done


class BoxBias(nn.Module):
    """What draws a query's attention to its box: a bias by the distance of a cell from the four edges (BoxRPB)."""

    places: Tensor

    def __init__(self, decoder: Any, grid: int) -> None:
        """decoder: transformers' Sam3DetrDecoder. grid: edge of the map."""
        super().__init__()
        self.embed_x, self.embed_y = decoder.box_rpb_embed_x, decoder.box_rpb_embed_y
        self.register_buffer("places", (torch.arange(grid, dtype=torch.float32) / grid)[:, None])

    def forward(self, boxes: Tensor) -> Tensor:
        """boxes: [phrases, queries, 4], left, top, right, bottom in 0..1.

        Returns [phrases, heads, 1 + queries, cells]; the first row, of the presence token, is zero.
        """
        across = self.embed_x(self._scaled(boxes[:, :, None, 0::2])).permute(0, 3, 1, 2)
        down = self.embed_y(self._scaled(boxes[:, :, None, 1::2])).permute(0, 3, 1, 2)
        return F.pad((down[..., :, None] + across[..., None, :]).flatten(3), (0, 0, 1, 0))

    def _scaled(self, edges: Tensor) -> Tensor:
        """Distances from two edges, their logarithm with their sign. edges: [phrases, queries, 1, 2]."""
        distance = (self.places - edges) * 8
        return torch.sign(distance) * torch.log2(distance.abs() + 1) / math.log2(8)


class Detector(nn.Module):
    """An image's coarse map and prompts to boxes with scores, one prompt a phrase (sam3_image.py, decoder.py)."""

    positions: Tensor

    def __init__(self, model: Any, neck: Any, grid: int) -> None:
        """model: transformers' Sam3Model. neck: its pyramid. grid: edge of the coarse map."""
        super().__init__()
        decoder = model.detr_decoder
        self.register_buffer("positions", sine(neck.position_encoding, int(decoder.hidden_size), (grid, grid)))
        self.fusion = nn.ModuleList(FusionLayer(each) for each in model.detr_encoder.layers)
        self.layers = nn.ModuleList(QueryLayer(each) for each in decoder.layers)
        self.decoder, self.scoring = decoder, model.dot_product_scoring
        self.sines, self.near = SineOfNumbers(decoder.position_encoding), BoxBias(decoder, grid)

    def forward(self, det_fpn2: Tensor, prompt: Tensor, prompt_valid: Tensor) -> tuple[Tensor, ...]:
        """Shapes as the stage declares them. Returns its outputs in their order."""
        bias = padding_bias(prompt_valid)
        cells = det_fpn2.flatten(2).transpose(1, 2)
        for layer in self.fusion:
            cells = layer(cells, self.positions, prompt, bias)
        x, boxes = self._decode(cells, prompt, bias)
        decoder = self.decoder
        limit = float(decoder.clamp_presence_logit_max_val)
        presence = decoder.presence_head(decoder.presence_layer_norm(x[:, :1])).squeeze(-1).clamp(-limit, limit)
        queries = decoder.output_layer_norm(x[:, 1:])
        return self._score(queries, prompt, prompt_valid), as_edges(boxes), presence, queries, cells

    def _decode(self, cells: Tensor, prompt: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the presence token and the queries [phrases, 1 + queries, C] and boxes [phrases, queries, 4]."""
        decoder, count = self.decoder, prompt.shape[0]
        x = torch.cat([decoder.presence_token.weight, decoder.query_embed.weight])[None].expand(count, -1, -1)
        boxes = torch.sigmoid(decoder.reference_points.weight)[None].expand(count, -1, -1)
        seen = cells + self.positions, cells
        for layer in self.layers:
            places = self.sines(boxes[..., [1, 0, 2, 3]]).flatten(2)  # y, x, width, height
            where = F.pad(decoder.ref_point_head(places), (0, 0, 1, 0))
            x = layer(x, where, prompt, bias, seen, self.near(as_edges(boxes)))
            moved = decoder.box_head(decoder.output_layer_norm(x[:, 1:]))
            boxes = torch.sigmoid(moved + _logit(boxes))
        return x, boxes

    def _score(self, queries: Tensor, prompt: Tensor, prompt_valid: Tensor) -> Tensor:
        """How well each query fits the mean of the prompt, [phrases, queries]."""
        scoring, valid = self.scoring, prompt_valid[:, :, None]
        tokens = scoring.text_mlp_out_norm(scoring.text_mlp(prompt) + prompt)
        mean = (tokens * valid).sum(dim=1) / valid.sum(dim=1).clamp(min=1)
        wanted = scoring.text_proj(mean)[:, :, None]
        logits = torch.matmul(scoring.query_proj(queries), wanted).squeeze(-1) * float(scoring.scale)
        limit = float(scoring.clamp_max_val)
        return logits.clamp(-limit, limit)


class MaskHead(nn.Module):
    """Queries to masks, and the map of all that the prompt means (maskformer_segmentation.py).

    The projection of the pixels to the queries' width is multiplied with the queries, which are few; the semantic map
    is one more query, the same for all.
    """

    semantic: Tensor

    def __init__(self, decoder: Any, grid: int) -> None:
        """decoder: transformers' Sam3MaskDecoder. grid: edge of the coarse map."""
        super().__init__()
        self.grid = grid
        self.norm, self.attention = decoder.prompt_cross_attn_norm, Attention(decoder.prompt_cross_attn)
        pixels = decoder.pixel_decoder
        self.smooth, self.norms = pixels.conv_layers[:2], pixels.norms[:2]
        self.embed = decoder.mask_embedder
        instance, semantic = decoder.instance_projection, decoder.semantic_projection
        weight, bias = instance.weight.detach().flatten(1), instance.bias.detach()
        self.project = linear(torch.cat([weight.T, bias[None]]), torch.zeros(weight.shape[1] + 1))
        self.register_buffer(
            "semantic", torch.cat([semantic.weight.detach().flatten(), semantic.bias.detach()]).clone()
        )

    def forward(
        self,
        det_fpn0: Tensor,
        det_fpn1: Tensor,
        encoded: Tensor,
        prompt: Tensor,
        prompt_valid: Tensor,
        selected_queries: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Shapes as the stage declares them. Returns instance_masks and semantic_mask."""
        bias = padding_bias(prompt_valid)
        cells = encoded + self.attention.biased(self.norm(encoded), prompt, prompt, bias)
        x = torch.unflatten(cells.transpose(1, 2), 2, (self.grid, self.grid))
        for finer, smooth, norm in zip((det_fpn1, det_fpn0), self.smooth, self.norms, strict=True):
            x = F.relu(_by_groups(smooth(F.interpolate(x, scale_factor=2.0, mode="nearest") + finer), norm))
        rows = self.project(self.embed(selected_queries))
        rows = torch.cat([rows, self.semantic.expand(rows.shape[0], 1, -1)], dim=1)
        masks = torch.matmul(rows[:, :, :-1], x.flatten(2)) + rows[:, :, -1:]
        masks = torch.unflatten(masks, 2, (4 * self.grid, 4 * self.grid))
        return masks[:, :-1], masks[:, -1:]


def _by_groups(x: Tensor, norm: Any) -> Tensor:
    """A GroupNorm of x [batch, C, height, width], whose means are taken row by row and then of the rows.

    ONNX has it as an InstanceNormalization, and a plain sum of the 2.65 million values of a group is off by 4e-5.
    """
    grouped = torch.unflatten(x, 1, (int(norm.num_groups), -1)).flatten(2, 3)
    centred = grouped - _mean(grouped)
    rate = torch.rsqrt(_mean(centred * centred) + float(norm.eps))
    scale = (rate.squeeze(3) * norm.weight.reshape(grouped.shape[1], -1)).flatten(1)
    normed: Tensor = centred.reshape(x.shape) * scale[:, :, None, None] + norm.bias[:, None, None]
    return normed


def _mean(rows: Tensor) -> Tensor:
    """The mean of the last two axes, one after the other; both are kept."""
    return rows.mean(dim=3, keepdim=True).mean(dim=2, keepdim=True)


def _logit(share: Tensor, least: float = 1e-3) -> Tensor:
    """What a sigmoid makes `share` of; no further out than at `least` from 0 and 1 (model_misc.py, inverse_sigmoid)."""
    return torch.log(share.clamp(min=least) / (1 - share).clamp(min=least))
