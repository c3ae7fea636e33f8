"""A differentiable, object-batched view of a `Sam2VideoModel`: what training sees of it.

transformers' own loop runs one object at a time and keeps no gradients. This view holds no parameters: it
calls the model's modules in the order of `modeling_sam2_video.py` (named below), for many objects at once,
and leaves out what training does not need (position codes of the finer maps, attention weights never used).
B objects, N images, D channels, G = size / 4 the edge of mask logits, g = size / 16 that of the coarse map.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from backbone import pyramid
from torch import Tensor, nn
from transformers import Sam2VideoModel

MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
ABSENT_LOGIT = -1024.0
RECENT = 6
"""Unprompted frames that a frame attends to (num_maskmem - 1 in SAM 2's configurations)."""


@dataclass(frozen=True, slots=True)
class Features:
    """Maps of N images or B objects: fine [*, D/8, G, G], middle [*, D/4, G/2, G/2], coarse [*, D, g, g]."""

    fine: Tensor
    middle: Tensor
    coarse: Tensor

    def take(self, index: Tensor) -> "Features":
        """The maps of the images that `index` [B] names, one row an object."""
        return Features(self.fine[index], self.middle[index], self.coarse[index])


@dataclass(frozen=True, slots=True)
class Decoded:
    """All four masks of each object: logits [B, 4, G, G], predicted IoU [B, 4], object score [B, 1] and the
    output tokens [B, 4, D]. Mask 0 is the single mask, 1..3 the alternatives."""

    logits: Tensor
    quality: Tensor
    score: Tensor
    tokens: Tensor

    def best(self) -> tuple[Tensor, Tensor]:
        """Logits [B, 1, G, G] and token [B, D] of the alternative with the highest predicted IoU."""
        pick = 1 + self.quality[:, 1:].argmax(dim=1)
        rows = torch.arange(len(pick), device=pick.device)
        return self.logits[rows, pick][:, None], self.tokens[rows, pick]

    def single(self) -> tuple[Tensor, Tensor]:
        """Mask 0, or the best alternative where it is unstable; the pointer's token stays 0.

        Mask decoder, `_dynamic_multimask_via_stability`: delta 0.05, threshold 0.98.
        """
        mask = self.logits[:, 0].flatten(1)
        inner, outer = (mask > 0.05).sum(1).float(), (mask > -0.05).sum(1).float()
        stable = torch.where(outer > 0, inner / outer.clamp(min=1), torch.ones_like(outer)) >= 0.98
        return torch.where(stable[:, None, None, None], self.logits[:, :1], self.best()[0]), self.tokens[:, 0]


@dataclass(frozen=True, slots=True)
class Remembered:
    """One frame in memory: spatial features [B, g*g, 64], pointer [B, D], its number, and whether prompted."""

    features: Tensor
    pointer: Tensor
    frame: int
    prompted: bool


class View(nn.Module):
    """See the module's docstring. `model` keeps all parameters."""

    image_code: Tensor
    frame_code: Tensor
    memory_code: Tensor
    periods: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, model: Sam2VideoModel) -> None:
        super().__init__()
        self.model: Any = model
        self.size: int = model.config.image_size
        self.grid = self.size // 16
        self.hidden: int = model.config.vision_config.fpn_hidden_size
        self.pointers: int = model.config.max_object_pointers_in_encoder
        shape = (1, self.hidden, self.grid, self.grid)
        here = model.no_memory_embedding.device
        code = model.vision_encoder.neck.position_encoding(torch.Size(shape), here, torch.float32)
        memory = model.memory_encoder.position_encoding(torch.Size((1, 64, *shape[2:])), here, torch.float32)
        half = torch.arange(self.hidden // 2, dtype=torch.float32, device=here)
        constants = {
            "image_code": model.get_image_wide_positional_embeddings().detach(),
            "frame_code": code.flatten(2).permute(2, 0, 1),
            "memory_code": memory.flatten(2).transpose(1, 2),
            "periods": 10000 ** (2 * (half // 2) / (self.hidden // 2)),
            "mean": torch.tensor(MEAN, device=here).view(1, 3, 1, 1),
            "deviation": torch.tensor(DEVIATION, device=here).view(1, 3, 1, 1),
        }
        for name, value in constants.items():
            self.register_buffer(name, value.clone(), persistent=False)

    def encode(self, pictures: Tensor) -> Features:
        """Encode pictures [N, size, size, 3] uint8 RGB (`get_image_features`, no memory embedding yet)."""
        pixels = (pictures.permute(0, 3, 1, 2).float() - self.mean) / self.deviation
        fine, middle, coarse = pyramid(self.model.vision_encoder, pixels)
        decoder = self.model.mask_decoder
        return Features(decoder.conv_s0(fine), decoder.conv_s1(middle), coarse)

    def without_memory(self, coarse: Tensor) -> Tensor:
        """The coarse map of a first prompted frame."""
        embedding: Tensor = self.model.no_memory_embedding
        return coarse + embedding.reshape(1, -1, 1, 1)

    def decode(self, maps: Features, points: Tensor, labels: Tensor, mask: Tensor | None = None) -> Decoded:
        """Decode B objects (`Sam2VideoMaskDecoder.forward`), all with the same number of points.

        points: [B, P, 2] in pixels, x right and y down; labels: [B, P], 1 in the object, 0 outside it, 2 and 3
        the corners of a box, -1 no point. The prompt encoder appends one more -1, as it does at inference.
        mask: logits [B, 1, G, G] of an earlier mask, or None.
        """
        model, decoder = self.model, self.model.mask_decoder
        sparse, dense = model.prompt_encoder(points[:, None], labels[:, None], None, mask)
        count = len(points)
        learned = (decoder.obj_score_token, decoder.iou_token, decoder.mask_tokens)
        tokens = torch.cat([part.weight for part in learned])[None, None].expand(count, 1, -1, -1)
        queries, keys = decoder.transformer(
            point_embeddings=torch.cat([tokens, sparse], dim=2),
            image_embeddings=maps.coarse + dense,
            image_positional_embeddings=self.image_code.expand(count, -1, -1, -1),
            attention_similarity=None,
        )
        queries = queries[:, 0]
        coarse = keys.transpose(2, 3).reshape(count, self.hidden, self.grid, self.grid)
        raised = decoder.activation(decoder.upscale_layer_norm(decoder.upscale_conv1(coarse) + maps.middle))
        raised = decoder.activation(decoder.upscale_conv2(raised) + maps.fine)
        filters = torch.stack([mlp(queries[:, 2 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)], 1)
        logits = (filters @ raised.flatten(2)).view(count, 4, *raised.shape[2:])
        quality = decoder.iou_prediction_head(queries[:, 1])
        return Decoded(logits, quality, decoder.pred_obj_score_head(queries[:, 0]), queries[:, 2:6])

    def remember(
        self, coarse: Tensor, logits: Tensor, token: Tensor, present: Tensor, frame: int, prompted: bool
    ) -> Remembered:
        """Put a frame into memory (`_encode_new_memory`, and the pointer of `_single_frame_forward`).

        coarse: [B, D, g, g] without memory. logits: [B, 1, *, *]. present: [B, 1], 1 where the object shows.
        """
        model = self.model
        logits = torch.where(present[..., None, None] > 0, logits, ABSENT_LOGIT)
        if logits.shape[-1] != self.size:
            logits = F.interpolate(logits, size=(self.size, self.size), mode="bilinear", align_corners=False)
        mask = (logits > 0).to(logits.dtype) if prompted else torch.sigmoid(logits)
        encoder = model.memory_encoder
        mixed = encoder.feature_projection(coarse) + encoder.mask_downsampler(mask * 20.0 - 10.0)
        features = encoder.projection(encoder.memory_fuser(mixed))
        features = features + ((1 - present) * model.occlusion_spatial_embedding_parameter)[..., None, None]
        pointer = present * model.object_pointer_proj(token) + (1 - present) * model.no_object_pointer
        return Remembered(features.flatten(2).transpose(1, 2), pointer, frame, prompted)

    def recall(self, coarse: Tensor, bank: list[Remembered], frame: int, length: int) -> Tensor:
        """Condition the coarse map [B, D, g, g] of a frame on memory (`_prepare_memory_conditioned_features`).

        length: frames that the video is known to have; it scales the pointers' time code.
        """
        model, count = self.model, len(coarse)
        near = [m for m in bank if m.prompted] + [m for m in bank if not m.prompted and frame - m.frame <= RECENT]
        rows = [-1 if m.prompted else frame - m.frame - 1 for m in near]
        time = model.memory_temporal_positional_encoding
        code = torch.cat([self.memory_code + time[row].view(1, 1, -1) for row in rows], dim=1)
        most = min(length, self.pointers)
        recent = [m for m in reversed(bank) if not m.prompted and frame - m.frame < most]
        pointed = [m for m in bank if m.prompted] + recent
        ages = torch.tensor([frame - m.frame for m in pointed], dtype=torch.float32, device=coarse.device)
        angles = ages[:, None] / max(most - 1, 1) / self.periods
        age_code = model.temporal_positional_encoding_projection_layer(torch.cat([angles.sin(), angles.cos()], -1))
        split = self.hidden // 64
        pointers = torch.stack([m.pointer for m in pointed], dim=1).reshape(count, -1, 64)
        keys = torch.cat([m.features for m in near] + [pointers], dim=1)
        codes = torch.cat([code, age_code.repeat_interleave(split, 0)[None]], dim=1).expand(count, -1, -1)
        mixed = model.memory_attention(
            current_vision_features=coarse.flatten(2).permute(2, 0, 1),
            current_vision_position_embeddings=self.frame_code,
            memory=keys.transpose(0, 1),
            memory_posision_embeddings=codes.transpose(0, 1),
            num_object_pointer_tokens=pointers.shape[1],
        )
        tokens = mixed.reshape(count, self.grid**2, self.hidden)  # comes as [1, B, tokens, D]
        conditioned: Tensor = tokens.transpose(1, 2).reshape(coarse.shape)
        return conditioned

    def mask_prompt(self, masks: Tensor) -> Tensor:
        """Logits [B, 1, G, G] that the decoder gets for a mask prompt [B, size, size] of 0 and 1
        (`_use_mask_as_output`)."""
        logits: Tensor = self.model.mask_downsample(masks[:, None].float())
        return logits


def no_points(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """What the decoder gets on a frame without prompts: one non-point (the encoder adds the second)."""
    return torch.zeros(count, 1, 2, device=device), -torch.ones(count, 1, dtype=torch.long, device=device)
