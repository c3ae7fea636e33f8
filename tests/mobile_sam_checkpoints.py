"""Random MobileSAM checkpoints, conditioned as those of SAM are."""

from typing import Any

import torch
from batch_norms import draw_batch_norms
from masklet.export.references.mobile_sam_model import MobileSamConfig, MobileSamModel
from sam_checkpoints import random_sam

SMALL = {"embed_dims": [16, 32, 40, 80], "depths": [1, 1, 2, 1], "heads": [0, 2, 2, 4], "windows": [0, 7, 6, 3]}
PUBLISHED = {
    "embed_dims": [64, 128, 160, 320],
    "depths": [2, 2, 6, 2],
    "heads": [0, 4, 5, 10],
    "windows": [0, 7, 14, 7],
}


def mobile_sam_config(side: int = 128, **vit: Any) -> Any:
    """A configuration: small, or of the published dimensions."""
    width, vit = (256, vit) if vit else (64, SMALL)
    vision = {"hidden_size": vit["embed_dims"][-1], "num_hidden_layers": 0, "use_abs_pos": False, "image_size": side}
    small = {} if width == 256 else {"hidden_size": width, "mlp_dim": 2 * width, "iou_head_hidden_dim": width}
    return MobileSamConfig(
        vision_config={**vision, "output_channels": width, "num_pos_feats": width // 2, **vit},
        prompt_encoder_config={"hidden_size": width, "image_size": side},
        mask_decoder_config={**small, "layer_norm_eps": 1e-5},
    )


def random_mobile_sam(config: Any) -> Any:
    """A model with conditioned random weights; biases by distance and batch norms have values of their own."""
    model = random_sam(config, architecture=MobileSamModel)
    generator = torch.Generator().manual_seed(1)
    draw_batch_norms(model.vision_encoder, generator)
    for name, module in model.vision_encoder.named_modules():
        if name.endswith(".attn"):
            module.attention_biases.copy_(torch.randn(module.attention_biases.shape, generator=generator))
    return model
