"""Random EfficientViT-SAM checkpoints, conditioned as those of SAM are."""

from typing import Any

import torch
from batch_norms import draw_batch_norms
from masklet.export.references.efficientvit_sam_model import EfficientVitSamConfig, EfficientVitSamModel
from sam_checkpoints import random_sam

L: dict[str, Any] = {
    "image_size": 512,
    "embed_dims": [32, 64, 128, 256, 512],
    "kinds": ["res", "fmb", "fmb", "mb", "att"],
    "expands": [1, 4, 4, 4, 6],
    "kernel": 5,
    "neck_expand": 1,
}
XL: dict[str, Any] = {
    "image_size": 1024,
    "embed_dims": [32, 64, 128, 256, 512, 1024],
    "kinds": ["res", "fmb", "fmb", "fmb", "att", "att"],
    "expands": [1, 4, 4, 4, 4, 6],
    "kernel": 3,
    "neck_expand": 4,
}
SIZES: dict[str, dict[str, Any]] = {
    "l0": {**L, "depths": [1, 1, 1, 4, 4], "neck_depth": 4},
    "l1": {**L, "depths": [1, 1, 1, 6, 6], "neck_depth": 8},
    "l2": {**L, "depths": [1, 2, 2, 8, 8], "neck_depth": 12},
    "xl0": {**XL, "depths": [0, 1, 1, 2, 3, 3], "neck_depth": 6},
    "xl1": {**XL, "depths": [1, 2, 2, 4, 6, 6], "neck_depth": 12},
}
GRID = 8  # of the small one, whose images have 64 px and whose prompts 128
SMALL: dict[str, Any] = {
    **L,
    "image_size": 64,
    "embed_dims": [8, 16, 16, 32, 32],
    "depths": [1, 1, 1, 1, 2],
    "neck_depth": 1,
    "neck_width": 32,
    "head_dim": 8,
}


def efficientvit_sam_config(size: str = "small") -> Any:
    """A configuration: small, or of a published size."""
    small = size == "small"
    vit, width, grid = (SMALL, 64, GRID) if small else (SIZES[size], 256, 64)
    vision = {
        "hidden_size": vit["embed_dims"][-1],
        "num_hidden_layers": 0,
        "use_abs_pos": False,
        "output_channels": width,
        "num_pos_feats": width // 2,
        "patch_size": vit["image_size"] // grid,
        "neck_width": width,
        "head_dim": 32,
    }
    return EfficientVitSamConfig(
        vision_config={**vision, **vit},
        prompt_encoder_config={"hidden_size": width, "image_size": 16 * grid},
        mask_decoder_config={"hidden_size": width, "mlp_dim": 2 * width, "iou_head_hidden_dim": width} if small else {},
    )


def random_efficientvit_sam(config: Any) -> Any:
    """A model with conditioned random weights; batch norms have values of their own."""
    model = random_sam(config, architecture=EfficientVitSamModel)
    draw_batch_norms(model.vision_encoder, torch.Generator().manual_seed(1))
    return model
