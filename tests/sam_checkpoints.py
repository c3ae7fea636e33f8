"""Random SAM and SAM-HQ checkpoints whose signals keep a natural size from end to end."""

import math
from typing import Any

import torch
from transformers import SamConfig, SamHQConfig, SamHQModel, SamModel

VIT: dict[str, dict[str, Any]] = {
    "nano": {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 2, "global_attn_indexes": [1]},
    "base": {},
    "large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "global_attn_indexes": [5, 11, 17, 23],
    },
    "huge": {
        "hidden_size": 1280,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "global_attn_indexes": [7, 15, 23, 31],
    },
}


def sam_config(size: str = "nano", *, side: int = 128, hq: bool = False, **vision: Any) -> Any:
    """A configuration of SAM or SAM-HQ; nano has a width of 64 behind the encoder, the others their own 256."""
    backbone = {"image_size": side, **VIT[size], **vision}
    backbone.setdefault("mlp_dim", 4 * backbone.get("hidden_size", 768))
    width = 64 if size == "nano" else 256
    backbone.update(output_channels=width, num_pos_feats=width // 2)
    decoder = {"hidden_size": width, "mlp_dim": 2 * width, "iou_head_hidden_dim": width} if size == "nano" else {}
    if hq:
        decoder["vit_dim"] = backbone.get("hidden_size", 768)
    return (SamHQConfig if hq else SamConfig)(
        vision_config=backbone,
        prompt_encoder_config={"hidden_size": width, "image_size": side},
        mask_decoder_config=decoder,
    )


def random_sam(config: Any, seed: int = 0, architecture: Any = None) -> Any:
    """A SamModel, SamHQModel or one like them with conditioned random weights; the same for the same seed."""
    kind = architecture or (SamHQModel if config.model_type == "sam_hq" else SamModel)
    model = kind(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        parameter.copy_(_conditioned(name, parameter, generator))
    for name, parameter in model.mask_decoder.transformer.named_parameters():
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            parameter.mul_(0.3)
    # Masks with clear edges, and predicted IoUs about a half.
    for mlp in model.mask_decoder.output_hypernetworks_mlps:
        mlp.proj_out.weight.mul_(8)
    model.mask_decoder.iou_prediction_head.proj_out.bias.add_(0.5)
    model.prompt_encoder.shared_embedding.positional_embedding.copy_(model.shared_image_embedding.positional_embedding)
    return model


def _conditioned(name: str, parameter: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    drawn = torch.randn(parameter.shape, generator=generator)
    if "rel_pos" in name or "pos_embed" in name:
        return drawn * 0.2
    if name.endswith(".bias"):
        return drawn * 0.05
    if "token" in name or "embed." in name:
        return drawn * 0.5
    if parameter.ndim >= 2:
        fan_in = parameter.shape[0] if "upscale" in name else parameter[0].numel()
        return drawn / math.sqrt(fan_in)
    return parameter
