"""Random EdgeTAM checkpoints, conditioned as those of SAM 2 are."""

from typing import Any

import torch
from checkpoints import condition
from torchvision_stub import import_timm
from transformers import EdgeTamVideoConfig, EdgeTamVideoModel
from transformers.models.edgetam.configuration_edgetam import EdgeTamVisionConfig
from transformers.models.timm_wrapper.configuration_timm_wrapper import TimmWrapperConfig

PUBLISHED = "repvit_m1.dist_in1k"
SMALL = {"embed_dim": (16, 24, 32, 48), "depth": (1, 1, 2, 1)}


def edgetam_config(*, side: int = 128, small: bool = True, published: bool = False) -> Any:
    """EdgeTAM for frames of side pixels: of published dimensions, or small with 4 x 4 and 16 more latents a memory.

    published: without the two embeddings that SAM 2.1 has over 2.0, as in sam2/configs/edgetam.yaml.
    """
    import_timm()
    grid = side // 16
    arguments = {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]}
    widths = SMALL["embed_dim"] if small else (48, 96, 192, 384)
    vision = EdgeTamVisionConfig(
        backbone_config=TimmWrapperConfig(
            architecture=PUBLISHED, model_args={**arguments, **(SMALL if small else {})}, initializer_range=0.02
        ),
        backbone_channel_list=list(widths[::-1]),
        backbone_feature_sizes=[[4 * grid] * 2, [2 * grid] * 2, [grid] * 2],
        fpn_hidden_size=128 if small else 256,
    )
    sizes = {
        "image_size": side,
        "memory_attention_rope_feat_sizes": [grid, grid],
        "enable_temporal_pos_encoding_for_object_pointers": not published,
        "enable_occlusion_spatial_embedding": not published,
    }
    if not small:
        return EdgeTamVideoConfig(vision_config=vision, prompt_encoder_config={"image_size": side}, **sizes)
    width = 128
    return EdgeTamVideoConfig(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": width, "image_size": side},
        mask_decoder_config={"hidden_size": width, "mlp_dim": 256, "iou_head_hidden_dim": width},
        memory_attention_hidden_size=width,
        memory_attention_num_layers=2,
        memory_attention_mlp_hidden_size=256,
        memory_attention_rope_k_sizes=[4, 4],
        perceiver_resampler_num_latents=16,
        perceiver_resampler_num_latents_2d=16,
        memory_encoder_hidden_size=width,
        mask_downsampler_embed_dim=width,
        memory_fuser_embed_dim=width,
        memory_fuser_intermediate_dim=256,
        **sizes,
    )


def random_edgetam(config: Any, seed: int = 0) -> Any:
    """An EdgeTamVideoModel with conditioned random weights; batch norms have statistics of their own."""
    torch.manual_seed(seed)
    model = EdgeTamVideoModel(config).eval().requires_grad_(False)
    condition(model, seed)
    generator = torch.Generator().manual_seed(seed + 2)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d) and module.running_mean is not None:
            assert module.running_var is not None
            module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.5)
            module.weight.copy_(torch.rand(module.weight.shape, generator=generator) * 0.5 + (0.3 if name else 0))
    return model
