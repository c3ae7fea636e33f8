"""EfficientTAM as a model of transformers, which has none: SAM 2 with SAM's plain ViT and a decoder without finer maps.

The rules are those of github.com/yformer/EfficientTAM, efficient_track_anything/modeling/.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, Sam2VideoConfig, Sam2VideoModel
from transformers.models.sam.configuration_sam import SamVisionConfig
from transformers.models.sam.modeling_sam import SamVisionEncoder
from transformers.models.sam2_video import modeling_sam2_video as sam2

POOL = 2  # edge of the square of cells that a landmark is the mean of (sam/transformer.py 376)
PLAIN, COUNTED, SHIFTED = "RoPEAttention", "EfficientRoPEAttention1", "EfficientRoPEAttention2"


class EfficientTamVisionConfig(SamVisionConfig):  # type: ignore[misc]  # transformers has no types
    """SamVisionConfig, with what Sam2VideoModel asks of a vision encoder.

    pretrain_grid: edge of the square of position encodings, which are stretched to the size of the map.
    """

    model_type = "efficienttam_vision_model"
    attribute_map = {"fpn_hidden_size": "output_channels"}  # noqa: RUF012

    use_rel_pos: bool = False
    pretrain_grid: int = 14
    num_feature_levels: int = 1
    backbone_feature_sizes: list[list[int]] | None = None


class EfficientTamConfig(Sam2VideoConfig):  # type: ignore[misc]
    """Sam2VideoConfig, and how the memory is attended to.

    memory_cross_attention: the class of sam/transformer.py. RoPEAttention attends to every cell of every memory. The
    other two attend to landmarks, the means of 2 x 2 cells, where there is more than one memory.
    """

    model_type = "efficienttam"

    memory_cross_attention: str = PLAIN


class EfficientTamVisionModel(SamVisionEncoder):  # type: ignore[misc]
    """SAM's ViT; its position encodings are stretched."""

    config_class = EfficientTamVisionConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.pretrain_grid**2, config.hidden_size))
        self.position_encoding = sam2.Sam2VideoPositionEmbeddingSine(
            num_position_features=config.output_channels // 2, normalize=True
        )

    def positions(self) -> Tensor:
        """The position encodings of the map, [1, height, width, C] (backbones/utils.py 97)."""
        edge, size = self.config.pretrain_grid, self.config.image_size // self.config.patch_size
        table = self.pos_embed.reshape(1, edge, edge, -1).permute(0, 3, 1, 2)
        stretched: Tensor = F.interpolate(table, size=(size, size), mode="bicubic", align_corners=False)
        return (table if edge == size else stretched).permute(0, 2, 3, 1)

    def forward(self, pixel_values: Tensor, **unused: Any) -> Any:
        """Pixels [1, 3, side, side], normalised, to one map [1, C, side / 16, side / 16]."""
        x = self.patch_embed(pixel_values) + self.positions()
        for layer in self.layers:
            x = layer(x)
        return sam2.Sam2VideoVisionEncoderOutput(fpn_hidden_states=(self.neck(x),))


class SingleLevelMaskDecoder(sam2.Sam2VideoMaskDecoder):  # type: ignore[misc]
    """SAM 2's decoder with nothing added to what it enlarges (`use_high_res_features` is false)."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        del self.conv_s0, self.conv_s1

    def forward(self, image_embeddings: Tensor, *args: Any, **kwargs: Any) -> Any:
        count, channels, height, width = image_embeddings.shape
        nothing = [torch.zeros(count, channels // part, n * height, n * width) for part, n in ((8, 4), (4, 2))]
        return super().forward(image_embeddings, *args, **{**kwargs, "high_resolution_features": nothing})


class LandmarkAttention(sam2.Sam2VideoRoPEAttention):  # type: ignore[misc]
    """Attention to the means of 2 x 2 rotated keys of each memory, where there are several.

    sam/transformer.py 317 and 430 of the authors.

    In a softmax a landmark counts as four: ln 4 is added to its scores in EfficientRoPEAttention1. The second one adds
    it to every channel of its key instead.
    """

    def forward(self, query: Tensor, key: Tensor, value: Tensor, position_embeddings: Any, **kwargs: Any) -> Any:
        pointers, cells = int(kwargs.get("num_k_exclude_rope", 0)), query.shape[-2]
        spatial = key.shape[-2] - pointers
        if spatial <= cells:
            return super().forward(query, key, value, position_embeddings, **kwargs)
        projected = (self.q_proj(query), self.k_proj(key), self.v_proj(value))
        queries, keys, values = (x.unflatten(-1, (self.num_attention_heads, -1)).transpose(-2, -3) for x in projected)
        queries, keys = sam2.apply_rotary_pos_emb_2d(
            queries, keys, *position_embeddings, num_k_exclude_rope=pointers, repeat_freqs_k=True
        )
        many, bias = math.log(POOL**2), torch.zeros(spatial // POOL**2 + pointers)
        landmarks = _landmarks(keys[..., :spatial, :], cells)
        if self.config.memory_cross_attention == COUNTED:
            bias[: spatial // POOL**2] = many
        else:
            landmarks = landmarks + many
        keys = torch.cat([landmarks, keys[..., spatial:, :]], dim=-2)
        values = torch.cat([_landmarks(values[..., :spatial, :], cells), values[..., spatial:, :]], dim=-2)
        weights = torch.softmax(queries @ keys.transpose(-2, -1) * self.scaling + bias, dim=-1)
        return self.o_proj((weights @ values).transpose(-2, -3).flatten(-2)), weights


def _landmarks(x: Tensor, cells: int) -> Tensor:
    """Means of squares of cells, memory by memory: [..., memories * cells, C] to a quarter of that."""
    edge = math.isqrt(cells) // POOL
    squares = torch.unflatten(x, -2, (-1, edge, POOL, edge, POOL))
    return squares.mean(dim=(-4, -2)).flatten(-4, -2)


class EfficientTamModel(Sam2VideoModel):  # type: ignore[misc]
    """Sam2VideoModel with another decoder and another attention to memories."""

    config_class = EfficientTamConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.mask_decoder = SingleLevelMaskDecoder(config.mask_decoder_config)
        if config.memory_cross_attention != PLAIN:
            for layer in self.memory_attention.layers:
                layer.cross_attn_image = LandmarkAttention(config, kv_in_dim=self.mem_dim, rope_k_repeat=True)

    def get_image_features(self, pixel_values: Tensor, **unused: Any) -> Any:
        """The one map, flattened as Sam2VideoModel flattens its own."""
        found = self.vision_encoder(pixel_values)
        found.fpn_hidden_states = [level.flatten(2).permute(2, 0, 1) for level in found.fpn_hidden_states]
        return found


AutoConfig.register(EfficientTamVisionConfig.model_type, EfficientTamVisionConfig)
AutoModel.register(EfficientTamVisionConfig, EfficientTamVisionModel)
