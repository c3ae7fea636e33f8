"""Random EfficientTAM checkpoints, conditioned as those of SAM 2 are."""

from pathlib import Path
from typing import Any

import torch
from checkpoints import condition
from masklet.export.references.efficienttam_model import PLAIN, EfficientTamConfig, EfficientTamModel

WIDTHS = {"ti": (192, 3), "s": (384, 6)}


def efficienttam_config(size: str | None = None, *, side: int = 128, attention: str = PLAIN) -> Any:
    """EfficientTAM for frames of side pixels: of published dimensions ("ti", "s"), or small with windows of 3 cells.

    attention: the class that attends to memories.
    """
    grid = side // 16
    width, heads = WIDTHS[size] if size else (32, 2)
    vision = {
        "model_type": "efficienttam_vision_model",
        "hidden_size": width,
        "num_attention_heads": heads,
        "image_size": side,
        "backbone_feature_sizes": [[grid, grid]],
    }
    shared = {
        "image_size": side,
        "memory_attention_rope_feat_sizes": [grid, grid],
        "enable_temporal_pos_encoding_for_object_pointers": False,
        "enable_occlusion_spatial_embedding": False,
        "memory_cross_attention": attention,
    }
    if size:
        return EfficientTamConfig(vision_config=vision, prompt_encoder_config={"image_size": side}, **shared)
    inner = 128
    small = {"num_hidden_layers": 4, "global_attn_indexes": [1, 3], "window_size": 3, "output_channels": inner}
    return EfficientTamConfig(
        vision_config={**vision, **small, "pretrain_grid": 6},
        prompt_encoder_config={"hidden_size": inner, "image_size": side},
        mask_decoder_config={"hidden_size": inner, "mlp_dim": 256, "iou_head_hidden_dim": inner},
        memory_attention_hidden_size=inner,
        memory_attention_num_layers=2,
        memory_attention_feed_forward_hidden_size=256,
        memory_encoder_hidden_size=inner,
        mask_downsampler_embed_dim=inner,
        memory_fuser_embed_dim=inner,
        memory_fuser_intermediate_dim=256,
        **shared,
    )


def random_efficienttam(config: Any, seed: int = 0) -> Any:
    """An EfficientTamModel with conditioned random weights."""
    torch.manual_seed(seed)
    model = EfficientTamModel(config).eval().requires_grad_(False)
    condition(model, seed)
    return model


SMALL_YAML = """
model:
  image_size: 128
  use_high_res_features_in_sam: false
  add_tpos_enc_to_obj_ptrs: false
  image_encoder:
    scalp: 0
    trunk:
      embed_dim: 32
      depth: 4
      num_heads: 2
      window_size: 3
      window_block_indexes: [0, 2]
  memory_attention:
    layer:
      cross_attention:
        _target_: efficient_track_anything.modeling.sam.transformer.{attention}
"""


def write_small_yaml(path: Path, attention: str = PLAIN) -> Path:
    """The YAML of the small one."""
    path.write_text(SMALL_YAML.format(attention=attention))
    return path
