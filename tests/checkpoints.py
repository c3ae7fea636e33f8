"""Random SAM 2 checkpoints, written as save_pretrained writes trained ones.

Weights are drawn so that signals keep a natural size from end to end, every parameter that the library starts at
zero is something, and the decoder's attention is tame: with a plain random draw the reference's own masks move by
5e-4 when its input moves by 1e-6, and a loop of frames cannot be compared at all.
"""

import math
from pathlib import Path
from typing import Any

import torch
from transformers import Sam2Config, Sam2Model, Sam2VideoConfig, Sam2VideoModel

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 96,
        "num_attention_heads": 1,
        "blocks_per_stage": [1, 2, 7, 2],
        "embed_dim_per_stage": [96, 192, 384, 768],
        "num_attention_heads_per_stage": [1, 2, 4, 8],
        "window_size_per_stage": [8, 4, 14, 7],
        "global_attention_blocks": [5, 7, 9],
        "window_positional_embedding_background_size": [7, 7],
    },
    "small": {
        "hidden_size": 96,
        "num_attention_heads": 1,
        "blocks_per_stage": [1, 2, 11, 2],
        "embed_dim_per_stage": [96, 192, 384, 768],
        "num_attention_heads_per_stage": [1, 2, 4, 8],
        "window_size_per_stage": [8, 4, 14, 7],
        "global_attention_blocks": [7, 10, 13],
        "window_positional_embedding_background_size": [7, 7],
    },
    "base-plus": {
        "hidden_size": 112,
        "num_attention_heads": 2,
        "blocks_per_stage": [2, 3, 16, 3],
        "embed_dim_per_stage": [112, 224, 448, 896],
        "num_attention_heads_per_stage": [2, 4, 8, 16],
        "window_size_per_stage": [8, 4, 14, 7],
        "global_attention_blocks": [12, 16, 20],
        "window_positional_embedding_background_size": [14, 14],
    },
    "large": {
        "hidden_size": 144,
        "num_attention_heads": 2,
        "blocks_per_stage": [2, 6, 36, 4],
        "embed_dim_per_stage": [144, 288, 576, 1152],
        "num_attention_heads_per_stage": [2, 4, 8, 16],
        "window_size_per_stage": [8, 4, 16, 8],
        "global_attention_blocks": [23, 33, 43],
        "window_positional_embedding_background_size": [7, 7],
    },
}

NANO_BACKBONE: dict[str, Any] = {
    "hidden_size": 24,
    "num_attention_heads": 1,
    "blocks_per_stage": [1, 1, 3, 1],
    "embed_dim_per_stage": [24, 48, 96, 192],
    "num_attention_heads_per_stage": [1, 2, 4, 8],
    "window_size_per_stage": [8, 8, 8, 8],
    "global_attention_blocks": [3],
    "window_positional_embedding_background_size": [7, 7],
}


def sam2_config(backbone: dict[str, Any], *, side: int = 1024, version: str = "2.1", **changes: Any) -> Any:
    """A Sam2VideoConfig with a backbone, for frames of side pixels; SAM 2.0 lacks two embeddings of 2.1."""
    grid = side // 16
    newer = version == "2.1"
    vision = {
        "backbone_config": {"model_type": "sam2_hiera_det_model", "image_size": [side, side], **backbone},
        "backbone_channel_list": backbone["embed_dim_per_stage"][::-1],
        "backbone_feature_sizes": [[4 * grid] * 2, [2 * grid] * 2, [grid] * 2],
        "fpn_hidden_size": changes.pop("fpn_hidden_size", 256),
    }
    return Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config={"image_size": side, **changes.pop("prompt_encoder_config", {})},
        image_size=side,
        memory_attention_rope_feat_sizes=[grid, grid],
        enable_temporal_pos_encoding_for_object_pointers=newer,
        enable_occlusion_spatial_embedding=newer,
        **changes,
    )


def nano_config(
    *, side: int = 128, version: str = "2.1", backbone: dict[str, Any] = NANO_BACKBONE, **changes: Any
) -> Any:
    """The layout of the small model that the project trains: width 128, two layers of memory attention.

    changes: of the model's configuration; those that begin with dynamic_multimask are the mask decoder's.
    """
    width = 128
    decoder = {name: changes.pop(name) for name in list(changes) if name.startswith("dynamic_multimask")}
    settings = {
        "fpn_hidden_size": width,
        "prompt_encoder_config": {"hidden_size": width},
        "mask_decoder_config": {"hidden_size": width, "mlp_dim": 256, "iou_head_hidden_dim": width, **decoder},
        "memory_attention_hidden_size": width,
        "memory_attention_num_layers": 2,
        "memory_attention_feed_forward_hidden_size": 256,
        "memory_encoder_hidden_size": width,
        "mask_downsampler_embed_dim": width,
        "memory_fuser_embed_dim": width,
        "memory_fuser_intermediate_dim": 256,
    }
    return sam2_config(backbone, side=side, version=version, **{**settings, **changes})


def random_model(config: Any, seed: int = 0) -> Any:
    """A Sam2VideoModel with conditioned random weights; the same for the same seed."""
    torch.manual_seed(seed)
    model = Sam2VideoModel(config).eval().requires_grad_(False)
    condition(model, seed)
    return model


def draw(model: Any, seed: int) -> None:
    """Draw the weights of a model."""
    generator = torch.Generator().manual_seed(seed + 1)
    for name, parameter in model.named_parameters():
        parameter.copy_(_conditioned(name, parameter, generator))


def condition(model: Any, seed: int) -> None:
    """Draw the weights of a model of SAM 2's layout."""
    draw(model, seed)
    for name, parameter in model.mask_decoder.transformer.named_parameters():
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            parameter.mul_(0.3)
    model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(3.0)  # objects are present unless a test says otherwise
    # The two are one tensor in a trained model, and are drawn one by one by the library.
    model.prompt_encoder.shared_embedding.positional_embedding.copy_(model.shared_image_embedding.positional_embedding)


def _conditioned(name: str, parameter: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    def normal(deviation: float) -> torch.Tensor:
        return torch.randn(parameter.shape, generator=generator) * deviation

    small = ("pos_embed", "no_mem", "memory_temporal", "no_object", "occlusion")
    if parameter.ndim >= 2 and any(part in name for part in small):
        return normal(0.2)
    if name.endswith((".scale", ".layer_scale")):
        return torch.rand(parameter.shape, generator=generator) * 0.3 + 0.1
    if name.endswith(".bias"):
        return normal(0.05)
    if "token" in name or "embed." in name:
        return normal(0.5)
    if parameter.ndim >= 2:
        fan_in = parameter.shape[0] if "upscale" in name else parameter[0].numel()
        return normal(1 / math.sqrt(fan_in))
    return parameter


def save_checkpoint(model: Any, folder: Path) -> Path:
    """Write a checkpoint and return its folder."""
    model.save_pretrained(folder)
    return folder


def save_image_checkpoint(config: Any, folder: Path) -> Path:
    """Write a Sam2Model, which has an image encoder and a mask decoder but no memory."""
    parts = {k: getattr(config, k) for k in ("vision_config", "prompt_encoder_config", "mask_decoder_config")}
    Sam2Model(Sam2Config(**{k: v.to_dict() for k, v in parts.items()})).save_pretrained(folder)
    return folder
