"""SAM 2's mask decoder with its prompts, and the encoding of a mask given as a prompt."""

import math
from itertools import product
from typing import Any

import torch
from masklet.export.modules.layers import doubled, downsampling_matrix, linear
from masklet.export.modules.two_way import TwoWayTransformer
from torch import Tensor, nn

NO_OBJECT_LOGIT = -1024.0  # of every mask pixel where the object is absent (sam2_base.py 17)


class PromptEmbedding(nn.Module):
    """Clicks, box corners and an earlier mask as what the decoder attends to; the same in SAM and SAM 2.

    The convolutions of a mask do not overlap: they are products of 4 x 4 patches, and stay in the layout of cells.
    """

    label_table: Tensor
    size: Tensor

    def __init__(self, encoder: Any, hw: tuple[int, int]) -> None:
        """encoder: transformers' prompt encoder. hw: of the image, in pixels."""
        super().__init__()
        self.register_buffer("size", torch.tensor(hw[::-1], dtype=torch.float32))
        self.encoder = encoder
        kinds = encoder.point_embed
        weights = [kinds.weight] if isinstance(kinds, nn.Embedding) else [kind.weight for kind in kinds]
        with torch.no_grad():
            self.register_buffer("label_table", torch.cat([encoder.not_a_point_embed.weight, *weights]).clone())
        embed = encoder.mask_embed
        self.patch = _four_by_four(embed.conv1)
        self.merge = linear(embed.conv2.weight.detach().permute(0, 2, 3, 1).flatten(1), embed.conv2.bias)
        self.widen = linear(embed.conv3.weight.detach().flatten(1), embed.conv3.bias)

    def masks(self, mask_prompt: Tensor, has_mask: Tensor, beside: Tensor | None = None) -> Tensor:
        """What is added to an image's cells: the embedding of a mask, or the learned one for no mask.

        mask_prompt: [objects, 1, 4g, 4g]; has_mask: [objects], 0 or 1; beside: [objects, 1, C], added for each cell.
        Returns [objects, g * g, C].
        """
        embed, given = self.encoder.mask_embed, has_mask[:, None, None]
        fine = torch.unflatten(self.patch(mask_prompt).flatten(2).transpose(1, 2), 2, (4, -1))
        fine = embed.activation(_normalised(fine, embed.layer_norm1)).flatten(2)
        coarse = embed.activation(_normalised(self.merge(fine), embed.layer_norm2))
        row = given * self.widen.bias + (1 - given) * self.encoder.no_mask_embed.weight
        row = row if beside is None else row + beside
        # What all cells of an object get is one more row of the product: a pass over the cells less.
        ones = torch.ones_like(coarse[:, :, :1])
        return torch.matmul(torch.cat([coarse, ones], dim=2), torch.cat([given * self.widen.weight.T, row], dim=1))

    def points(self, coords: Tensor, labels: Tensor) -> Tensor:
        """Fourier features of a point and an embedding of its label; label -1 has no place, only an embedding.

        coords: [objects, points, 2] in model pixels; labels: [objects, points]. Returns [objects, points, C].
        """
        unit = 2 * ((coords + 0.5) / self.size) - 1
        angle = 2 * math.pi * (unit @ self.encoder.shared_embedding.positional_embedding)
        place = torch.cat([angle.sin(), angle.cos()], dim=-1) * (labels >= 0).to(coords.dtype)[:, :, None]
        return place + nn.functional.embedding(labels + 1, self.label_table)


class CandidateDecoder(nn.Module):
    """Points, box corners and an earlier mask to the four masks that the decoder has for them."""

    image_positions: Tensor

    def __init__(self, model: Any, hw: tuple[int, int], grid: tuple[int, int]) -> None:
        """model: of transformers, with SAM 2's decoder. hw, grid: of the image, in pixels and in cells."""
        super().__init__()
        self.prompts, self.decoder = PromptEmbedding(model.prompt_encoder, hw), model.mask_decoder
        self.transformer = TwoWayTransformer(model.mask_decoder.transformer)
        self.upscale = Upscaling(model.mask_decoder, grid)
        self.no_memory = nn.Parameter(model.no_memory_embedding.detach().reshape(1, 1, -1), requires_grad=False)
        with torch.no_grad():
            self.register_buffer("image_positions", as_cells(model.get_image_wide_positional_embeddings()))

    def decode(
        self, cells: Tensor, feat_s0: Tensor | None, feat_s1: Tensor | None, points: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns the tokens [objects, 6, C] (score, IoU, masks) and masks [objects, 4, 4g, 4g]."""
        decoder = self.decoder
        learned = torch.cat([decoder.obj_score_token.weight, decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens = torch.cat([learned.expand(points.shape[0], -1, -1), points], dim=1)
        tokens, cells = self.transformer(tokens, cells, self.image_positions, len(learned))
        filters = [mlp(tokens[:, 2 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)]
        return tokens, self.upscale(cells, feat_s0, feat_s1, torch.stack(filters, dim=1))


class ImageMaskDecoder(CandidateDecoder):
    """The decoder of a model of images alone, whose features are those of a frame without memory."""

    def forward(
        self,
        vision_feat: Tensor,
        feat_s0: Tensor,
        feat_s1: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_prompt: Tensor,
        has_mask: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Shapes as the stage declares them. Returns candidate_masks and candidate_ious."""
        cells = vision_feat.flatten(2).transpose(1, 2) + self.prompts.masks(mask_prompt, has_mask, self.no_memory)
        tokens, masks = self.decode(cells, feat_s0, feat_s1, self.prompts.points(point_coords, point_labels))
        return masks, self.decoder.iou_prediction_head(tokens[:, 1])


class MaskDecoder(CandidateDecoder):
    """Points, box corners and an earlier mask to a mask, its score and its pointer (sam2_base.py 254-409).

    All mask tokens are decoded at once; flags of each object choose what comes of them, so that one graph serves
    objects that were just clicked and objects that are tracked, in one batch.
    """

    def __init__(self, model: Any, hw: tuple[int, int], grid: tuple[int, int]) -> None:
        """model: transformers' Sam2VideoModel. hw, grid: of the image, in pixels and in cells."""
        super().__init__(model, hw, grid)
        self.pointer_projection, self.no_pointer = model.object_pointer_proj, model.no_object_pointer
        self.gives_candidate_pointers = False
        config = model.config.mask_decoder_config
        self.fallback = bool(config.dynamic_multimask_via_stability)
        self.delta = float(config.dynamic_multimask_stability_delta)
        self.stable = float(config.dynamic_multimask_stability_thresh)

    def forward(
        self,
        image_embed: Tensor,
        feat_s0: Tensor | None,
        feat_s1: Tensor | None,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_prompt: Tensor,
        has_mask: Tensor,
        multimask: Tensor,
        memoryless: Tensor,
    ) -> tuple[Tensor, ...]:
        """Shapes as the stage declares them. Returns its outputs in their order."""
        prompted = self.prompts.masks(mask_prompt, has_mask, memoryless[:, None, None] * self.no_memory)
        cells = image_embed.flatten(2).transpose(1, 2) + prompted
        tokens, masks = self.decode(cells, feat_s0, feat_s1, self.prompts.points(point_coords, point_labels))
        ious = self.decoder.iou_prediction_head(tokens[:, 1])
        score = self.decoder.pred_obj_score_head(tokens[:, 0])
        chosen, kept = self._choose(masks, ious, multimask)
        present = score > 0
        mask = torch.unflatten(torch.matmul(chosen[:, None], masks.flatten(2)), 2, masks.shape[2:])
        mask = torch.where(present[:, :, None, None], mask, NO_OBJECT_LOGIT)
        iou = (chosen * ious).sum(dim=1, keepdim=True)
        token = torch.matmul(kept[:, None], tokens[:, 2 : 2 + ious.shape[1]])[:, 0]
        pointer = torch.where(present, self.pointer_projection(token), self.no_pointer)
        if not self.gives_candidate_pointers:
            return mask, iou, score, pointer, masks, ious
        every = self.pointer_projection(tokens[:, 2 : 2 + ious.shape[1]])
        return mask, iou, score, pointer, masks, ious, every

    def _choose(self, masks: Tensor, ious: Tensor, multimask: Tensor) -> tuple[Tensor, Tensor]:
        """Weights [objects, 4], one 1 in a row: of the mask that is returned, and of the token that is pointed with.

        The best of three by predicted IoU; or the single mask, unless it is unstable (mask_decoder.py 149-170), and
        then its own token all the same. Multiplying with a row of zeros and a one is exact and needs no gathering.
        """
        many = multimask[:, None] > 0
        order = torch.arange(ious.shape[1], device=ious.device)[None]
        best = (order == ious[:, 1:].argmax(dim=1, keepdim=True) + 1).to(ious.dtype)
        single = (order == 0).to(ious.dtype).expand_as(best)
        kept = torch.where(many, best, single)
        if not self.fallback:
            return kept, kept
        first = masks[:, 0].flatten(1)
        inner = (first > self.delta).to(ious.dtype).sum(dim=1, keepdim=True)
        outer = (first > -self.delta).to(ious.dtype).sum(dim=1, keepdim=True)
        unstable = inner / outer.clamp(min=1) < self.stable
        return torch.where(many | (unstable & (outer > 0)), best, single), kept


class SingleLevelMaskDecoder(MaskDecoder):
    """The decoder of a model whose image encoder gives one map alone."""

    def forward(  # type: ignore[override]
        self,
        image_embed: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_prompt: Tensor,
        has_mask: Tensor,
        multimask: Tensor,
        memoryless: Tensor,
    ) -> tuple[Tensor, ...]:
        """Shapes as the stage declares them. Returns its outputs in their order."""
        prompts = point_coords, point_labels, mask_prompt, has_mask
        return super().forward(image_embed, None, None, *prompts, multimask, memoryless)


class Upscaling(nn.Module):
    """Cells to four masks at four times their resolution.

    A transposed convolution with a kernel of 2 and a stride of 2 is a linear layer to four times the channels, with
    the four results set out in a square. They are left where they are, channels last, and only the finished masks
    are set out: four channels to move and not 64 and 32.
    """

    def __init__(self, decoder: Any, grid: tuple[int, int]) -> None:
        """decoder: transformers' mask decoder, of SAM or of SAM 2. grid: rows and columns of the feature map."""
        super().__init__()
        self.grid = grid
        self.widen1, self.widen2 = doubled(decoder.upscale_conv1), doubled(decoder.upscale_conv2)
        self.norm, self.activation = decoder.upscale_layer_norm, decoder.activation

    def forward(self, cells: Tensor, feat_s0: Tensor | None, feat_s1: Tensor | None, filters: Tensor) -> Tensor:
        """cells: [objects, rows * columns, C]; feat_s0, feat_s1 as SAM 2 declares them, None in SAM.

        filters: [objects, 4, C / 8]. Returns the masks [objects, 4, 4 rows, 4 columns].
        """
        rows, columns = self.grid
        up = torch.unflatten(self.widen1(cells), 2, (4, -1))
        up = up if feat_s1 is None else up + self._nested(feat_s1, 1)
        up = self.widen2(self.activation(_normalised(up, self.norm)))
        up = up if feat_s0 is None else torch.unflatten(up, 3, (4, -1)) + self._nested(feat_s0, 2)
        up = self.activation(up).reshape(up.shape[0], 16 * rows * columns, -1)  # squares in squares, channels last
        masks = torch.matmul(filters, up.transpose(1, 2))
        square = torch.unflatten(masks, 2, (rows, columns, 2, 2, 2, 2))
        return square.permute(0, 1, 2, 4, 6, 3, 5, 7).reshape(*masks.shape[:2], 4 * rows, 4 * columns)

    def _nested(self, feature_map: Tensor, levels: int) -> Tensor:
        """A map [1, C, rows 2^levels, columns 2^levels] as [1, cells, 4, (4,) C]: the squares within each cell."""
        channels, (rows, columns) = feature_map.shape[1], self.grid
        last = feature_map.flatten(2).transpose(1, 2)
        split = last.reshape(rows, *[2] * levels, columns, *[2] * levels, channels)
        if levels == 1:
            return split.permute(0, 2, 1, 3, 4).reshape(1, rows * columns, 4, channels)
        return split.permute(0, 3, 1, 4, 2, 5, 6).reshape(1, rows * columns, 4, 4, channels)


class MaskPromptEncoder(nn.Module):
    """A mask given as a prompt, as what the decoder takes and as the mask that is returned (sam2_base.py 411-460)."""

    shrink_rows: Tensor
    shrink_columns: Tensor

    def __init__(self, model: Any, hw: tuple[int, int]) -> None:
        """model: transformers' Sam2VideoModel. hw: of the mask, in pixels."""
        super().__init__()
        self.downsample = model.mask_downsample
        self.register_buffer("shrink_rows", downsampling_matrix(hw[0], 4))
        self.register_buffer("shrink_columns", downsampling_matrix(hw[1], 4))

    def forward(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """mask: uint8 [objects, H, W] of 0 and 1. Returns mask_prompt and low_res_mask [objects, 1, H / 4, W / 4]."""
        hard = mask.to(torch.float32)[:, None]
        small = torch.matmul(torch.matmul(self.shrink_rows, hard), self.shrink_columns.T)
        return self.downsample(hard), small * 20.0 - 10.0


def as_cells(feature_map: Tensor) -> Tensor:
    """A map [objects, C, height, width] as [objects, height * width, C]."""
    return feature_map.flatten(2).transpose(1, 2).contiguous()


def _normalised(x: Tensor, norm: Any) -> Tensor:
    """transformers' layer norm of feature maps, on channels that come last."""
    return nn.functional.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps)


def _four_by_four(convolution: Any) -> nn.Conv2d:
    """A 2x2 convolution of stride 2 and one channel, [4, 1, 2, 2], on the four squares of a 4x4 patch at once: to
    4 * 4 channels, square after square."""
    weight = convolution.weight.detach()
    patch = nn.Conv2d(1, 4 * len(weight), kernel_size=4, stride=4)
    squares = torch.zeros(2, 2, len(weight), 1, 4, 4)
    for row, column in product(range(2), range(2)):
        squares[row, column, :, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = weight
    patch.weight = nn.Parameter(squares.flatten(0, 2), requires_grad=False)
    patch.bias = nn.Parameter(convolution.bias.detach().repeat(4), requires_grad=False)
    return patch
