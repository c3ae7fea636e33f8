"""SAM 2's mask decoder with its prompts, and the encoding of a mask given as a prompt."""

import math
from typing import Any

import torch
from masklet.export.layers import downsampling_matrix
from torch import Tensor, nn

NO_OBJECT_LOGIT = -1024.0  # of every mask pixel where the object is absent (sam2_base.py 17)


class MaskDecoder(nn.Module):
    """Points, box corners and an earlier mask to a mask, its score and its pointer (sam2_base.py 254-409).

    All mask tokens are decoded at once; flags of each object choose what comes of them, so that one graph serves
    objects that were just clicked and objects that are tracked, in one batch.
    """

    image_positions: Tensor
    label_table: Tensor

    def __init__(self, model: Any, side: int) -> None:
        """model: transformers' Sam2VideoModel. side: edge of the image, in pixels."""
        super().__init__()
        self.side = side
        self.prompt, self.decoder = model.prompt_encoder, model.mask_decoder
        self.pointer_projection, self.no_pointer = model.object_pointer_proj, model.no_object_pointer
        self.no_memory = nn.Parameter(model.no_memory_embedding.detach().reshape(1, -1, 1, 1), requires_grad=False)
        config = model.config.mask_decoder_config
        self.fallback = bool(config.dynamic_multimask_via_stability)
        self.delta = float(config.dynamic_multimask_stability_delta)
        self.stable = float(config.dynamic_multimask_stability_thresh)
        with torch.no_grad():
            self.register_buffer("image_positions", model.get_image_wide_positional_embeddings().clone())
            table = [self.prompt.not_a_point_embed.weight, self.prompt.point_embed.weight]
            self.register_buffer("label_table", torch.cat(table).clone())

    def forward(
        self,
        image_embed: Tensor,
        feat_s0: Tensor,
        feat_s1: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_prompt: Tensor,
        has_mask: Tensor,
        multimask: Tensor,
        memoryless: Tensor,
    ) -> tuple[Tensor, ...]:
        """Shapes as the stage declares them. Returns its outputs in their order."""
        image = image_embed + _per_object(memoryless) * self.no_memory + self._dense(mask_prompt, has_mask)
        tokens, masks = self._decode(image, feat_s0, feat_s1, self._points(point_coords, point_labels))
        ious = self.decoder.iou_prediction_head(tokens[:, 1])
        score = self.decoder.pred_obj_score_head(tokens[:, 0])
        chosen, kept = self._choose(masks, ious, multimask)
        present = score > 0
        mask = torch.unflatten(torch.matmul(chosen[:, None], masks.flatten(2)), 2, masks.shape[2:])
        mask = torch.where(present[:, :, None, None], mask, NO_OBJECT_LOGIT)
        iou = (chosen * ious).sum(dim=1, keepdim=True)
        token = torch.matmul(kept[:, None], tokens[:, 2 : 2 + ious.shape[1]])[:, 0]
        pointer = torch.where(present, self.pointer_projection(token), self.no_pointer)
        return mask, iou, score, pointer, masks, ious

    def _dense(self, mask_prompt: Tensor, has_mask: Tensor) -> Tensor:
        embedded = self.prompt.mask_embed(mask_prompt)
        return torch.where(_per_object(has_mask) > 0, embedded, self.prompt.no_mask_embed.weight[:, :, None, None])

    def _points(self, coords: Tensor, labels: Tensor) -> Tensor:
        """Fourier features of a point and an embedding of its label; label -1 has no place, only an embedding."""
        unit = 2 * ((coords + 0.5) / self.side) - 1
        angle = 2 * math.pi * (unit @ self.prompt.shared_embedding.positional_embedding)
        place = torch.cat([angle.sin(), angle.cos()], dim=-1) * (labels >= 0).to(coords.dtype)[:, :, None]
        return place + nn.functional.embedding(labels + 1, self.label_table)

    def _decode(self, image: Tensor, feat_s0: Tensor, feat_s1: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the tokens [objects, 6 + points, C] (score, IoU, masks, points) and masks [objects, 4, 4g, 4g]."""
        decoder = self.decoder
        learned = torch.cat([decoder.obj_score_token.weight, decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens = torch.cat([learned.expand(points.shape[0], -1, -1), points], dim=1)
        tokens, image = decoder.transformer(
            point_embeddings=tokens[:, None],
            image_embeddings=image,
            image_positional_embeddings=self.image_positions,
            attention_similarity=None,
        )
        tokens = tokens[:, 0]
        image = torch.unflatten(image[:, 0].transpose(1, 2), 2, self.image_positions.shape[2:])
        up = decoder.upscale_conv1(image) + feat_s1
        up = decoder.activation(decoder.upscale_layer_norm(up))
        up = decoder.activation(decoder.upscale_conv2(up) + feat_s0)
        filters = [mlp(tokens[:, 2 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)]
        masks = torch.unflatten(torch.matmul(torch.stack(filters, dim=1), up.flatten(2)), 2, up.shape[2:])
        return tokens, masks

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


class MaskPromptEncoder(nn.Module):
    """A mask given as a prompt, as what the decoder takes and as the mask that is returned (sam2_base.py 411-460)."""

    shrink: Tensor

    def __init__(self, model: Any, side: int) -> None:
        """model: transformers' Sam2VideoModel. side: edge of the image, in pixels."""
        super().__init__()
        self.downsample = model.mask_downsample
        self.register_buffer("shrink", downsampling_matrix(side, 4))

    def forward(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """mask: uint8 [objects, side, side] of 0 and 1. Returns mask_prompt and low_res_mask [objects, 1, 4g, 4g]."""
        hard = mask.to(torch.float32)[:, None]
        small = torch.matmul(torch.matmul(self.shrink, hard), self.shrink.T)
        return self.downsample(hard), small * 20.0 - 10.0


def _per_object(flag: Tensor) -> Tensor:
    return flag[:, None, None, None]
