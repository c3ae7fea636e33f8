"""Random EdgeSAM checkpoints, conditioned as those of SAM are."""

from typing import Any

import torch
from batch_norms import draw_batch_norms
from masklet.export.references.edge_sam_model import EdgeSamConfig, EdgeSamModel
from sam_checkpoints import random_sam

PUBLISHED = {
    "channels": [48] * 3 + [96] * 4 + [192] * 16 + [384] * 3,
    "squeezed": [16, 0, 0, 0, 24, 0, 0, 0, *([48, 0] * 7), 0, 0, 96, 0],
}
SMALL = {"channels": [8, 8, 16, 16, 24, 24, 32, 32], "squeezed": [8, 0, 8, 0, 0, 8, 0, 8]}


def edge_sam_config(side: int = 128, *, published: bool = False) -> Any:
    """A configuration: small, or of the published dimensions."""
    vit, width = (PUBLISHED, 256) if published else (SMALL, 64)
    vision = {"hidden_size": vit["channels"][-1], "num_hidden_layers": 0, "use_abs_pos": False, "image_size": side}
    small = {} if published else {"hidden_size": width, "mlp_dim": 2 * width, "iou_head_hidden_dim": width}
    return EdgeSamConfig(
        vision_config={**vision, "patch_size": 16, "output_channels": width, "num_pos_feats": width // 2, **vit},
        prompt_encoder_config={"hidden_size": width, "image_size": side},
        mask_decoder_config={**small, "layer_norm_eps": 1e-5},
    )


def random_edge_sam(config: Any) -> Any:
    """A model with conditioned random weights; batch norms have values of their own.

    Branches that are added to what they branch from are small: else 26 blocks enlarge it a hundred thousand times.
    """
    model = random_sam(config, architecture=EdgeSamModel)
    generator = torch.Generator().manual_seed(1)
    draw_batch_norms(model.vision_encoder, generator)
    for block in model.vision_encoder.features[1:]:
        mixer = block.token_mixer[0]
        branches = [mixer.conv, mixer.conv1] if hasattr(mixer, "conv1") else []
        for branch in (*branches, block.channel_mixer["m"][2]):
            branch.bn.weight.copy_(torch.rand(branch.bn.weight.shape, generator=generator) * 0.3 + 0.1)
    return model
