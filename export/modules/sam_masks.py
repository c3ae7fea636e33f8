"""The mask decoder of SAM (2023) and of SAM-HQ."""

from typing import Any

import torch
from masklet.export.modules.masks import PromptEmbedding, Upscaling, as_cells
from masklet.export.modules.two_way import TwoWayTransformer
from torch import Tensor, nn


class SamMaskDecoder(nn.Module):
    """Points, box corners and an earlier mask to four masks and their predicted IoUs, on one image.

    SAM-HQ adds to every mask a fifth one, of a token of its own on finer features (SamHQMaskDecoder).
    """

    image_positions: Tensor
    learned: Tensor

    def __init__(self, model: Any, side: int) -> None:
        """model: transformers' SamModel or SamHQModel. side: edge of the square that points are in, in pixels."""
        super().__init__()
        decoder = model.mask_decoder
        self.prompts, self.decoder = PromptEmbedding(model.prompt_encoder, (side, side)), decoder
        self.transformer = TwoWayTransformer(decoder.transformer)
        self.grid = int(model.config.prompt_encoder_config.image_embedding_size)
        self.upscale = Upscaling(decoder, (self.grid, self.grid))
        self.hq = hasattr(decoder, "hq_token")
        tokens = [decoder.iou_token.weight, decoder.mask_tokens.weight]
        with torch.no_grad():
            self.register_buffer("image_positions", as_cells(model.get_image_wide_positional_embeddings()))
            self.register_buffer("learned", torch.cat(tokens + ([decoder.hq_token.weight] if self.hq else [])).clone())

    def forward(
        self,
        vision_feat: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_prompt: Tensor,
        has_mask: Tensor,
        hq_feat: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Shapes as the stage declares them. Returns candidate_masks and candidate_ious."""
        cells = vision_feat.flatten(2).transpose(1, 2) + self.prompts.masks(mask_prompt, has_mask)
        points = self.prompts.points(point_coords, point_labels)
        tokens = torch.cat([self.learned.expand(points.shape[0], -1, -1), points], dim=1)
        tokens, cells = self.transformer(tokens, cells, self.image_positions, len(self.learned))
        mlps = self.decoder.output_hypernetworks_mlps
        filters = torch.stack([mlp(tokens[:, 1 + i]) for i, mlp in enumerate(mlps)], dim=1)
        masks = self.upscale(cells, None, None, filters)
        ious: Tensor = self.decoder.iou_prediction_head(tokens[:, 0])
        if hq_feat is None:
            return masks, ious
        return masks + self._high_quality(cells, hq_feat, tokens[:, 1 + len(mlps)]), ious

    def _high_quality(self, cells: Tensor, hq_feat: Tensor, token: Tensor) -> Tensor:
        """The mask of the high-quality token, [objects, 1, 4g, 4g]: its convolutions need the features set out."""
        decoder = self.decoder
        up = torch.unflatten(cells.transpose(1, 2), 2, (self.grid, self.grid))
        up = decoder.activation(decoder.upscale_layer_norm(decoder.upscale_conv1(up)))
        up = decoder.activation(decoder.upscale_conv2(up))
        fine = decoder.mask_conv2(decoder.activation(decoder.mask_norm(decoder.mask_conv1(up)))) + hq_feat
        mask = torch.matmul(decoder.hq_mask_mlp(token)[:, None], fine.flatten(2))
        return torch.unflatten(mask, 2, (4 * self.grid, 4 * self.grid))
