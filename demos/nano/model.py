"""The nano SAM 2: its configuration and the initialisation that lets it learn in an hour.

Every parameter is one of transformers' own `Sam2VideoModel`; `save_pretrained` is all there is to export.
"""

import math

import torch
from torch import nn
from transformers import Sam2VideoConfig, Sam2VideoModel

WIDTHS = (24, 48, 96, 192)
HIDDEN = 128


def nano_config(size: int = 128, hidden: int = HIDDEN, widths: tuple[int, ...] = WIDTHS) -> Sam2VideoConfig:
    """Configuration for a square input of `size` pixels (a multiple of 128: windows of 8 then need no padding).

    hidden: width of neck, decoder and memory. 64 never learned to tell two clicks apart; 128 does.
    The weights do not depend on `size`.
    """
    if size < 128 or size % 128:
        raise ValueError(f"model size {size}: expected a multiple of 128")
    grid = size // 16
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "image_size": [size, size],
        "hidden_size": widths[0],
        "num_attention_heads": 1,
        "blocks_per_stage": [1, 1, 3, 1],
        "embed_dim_per_stage": list(widths),
        "num_attention_heads_per_stage": [1, 2, 4, 8],
        "window_size_per_stage": [8, 8, 8, 8],
        "global_attention_blocks": [3, 4],
        "window_positional_embedding_background_size": [8, 8],
    }
    return Sam2VideoConfig(
        image_size=size,
        vision_config={
            "backbone_config": backbone,
            "backbone_channel_list": list(widths[::-1]),
            "backbone_feature_sizes": [[4 * grid, 4 * grid], [2 * grid, 2 * grid], [grid, grid]],
            "fpn_hidden_size": hidden,
        },
        prompt_encoder_config={"hidden_size": hidden, "image_size": size},
        mask_decoder_config={
            "hidden_size": hidden,
            "mlp_dim": 2 * hidden,
            "num_attention_heads": 4,
            "iou_head_hidden_dim": hidden,
        },
        memory_attention_hidden_size=hidden,
        memory_attention_num_layers=2,
        memory_attention_feed_forward_hidden_size=2 * hidden,
        memory_attention_rope_feat_sizes=[grid, grid],
        memory_attention_dropout=0.0,
        memory_attention_rope_dropout=0.0,
        memory_encoder_hidden_size=hidden,
        memory_encoder_output_channels=64,  # transformers builds the memory with 64 channels whatever this says
        mask_downsampler_embed_dim=hidden,
        memory_fuser_embed_dim=hidden,
        memory_fuser_intermediate_dim=2 * hidden,
    )


def new_model(config: Sam2VideoConfig, seed: int) -> Sam2VideoModel:
    """A fresh model. The library's own draw (std 0.02, zero embeddings) is meant for wider nets; see `_draw`."""
    torch.manual_seed(seed)
    model = Sam2VideoModel(config)
    with torch.no_grad():
        for module in model.modules():
            _draw(module)
        _draw_embeddings(model)
        _tie_and_tame(model)
        _favour_nearness(model)
    return model


def _draw(module: nn.Module) -> None:
    """Keep the variance of what passes through, at any width."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
    elif isinstance(module, nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=1 / math.sqrt(module.in_channels))
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.3)
    if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)) and module.bias is not None:
        nn.init.zeros_(module.bias)


def _draw_embeddings(model: Sam2VideoModel) -> None:
    """Bare parameters that the library starts at zero would leave memory frames indistinguishable."""
    small = ("pos_embed", "no_memory_embedding", "memory_temporal", "no_object_pointer", "occlusion_spatial")
    for name, parameter in model.named_parameters():
        if any(part in name for part in small):
            nn.init.normal_(parameter, std=0.05)
        elif "memory_fuser" in name and name.endswith(".scale"):
            parameter.fill_(0.1)


def _tie_and_tame(model: Sam2VideoModel) -> None:
    # Drawn independently by the library, but a click and the image grid must share one Fourier code.
    shared = model.shared_image_embedding.positional_embedding
    model.prompt_encoder.shared_embedding.positional_embedding.copy_(shared)
    # The neck has no norm: at full size its features drown the unit-length Fourier code and clicks are ignored.
    for conv in model.vision_encoder.neck.convs[:2]:
        conv.weight.mul_(0.12)
    for block in model.vision_encoder.backbone.blocks:
        block.attn.proj.weight.mul_(0.5)
        block.mlp.proj_out.weight.mul_(0.5)
    # A mask prompt of zeros and ones arrives as the logits -10 and +10 of an earlier mask.
    model.mask_downsample.weight.fill_(20 / 16)
    model.mask_downsample.bias.fill_(-10)


def _favour_nearness(model: Sam2VideoModel) -> None:
    """Make attention local from the first step: equal queries and keys turn Fourier codes into a bump."""
    for name, module in model.mask_decoder.transformer.named_modules():
        if name.endswith(("cross_attn_token_to_image", "cross_attn_image_to_token", "final_attn_token_to_image")):
            module.k_proj.weight.mul_(1.5)
            module.q_proj.weight.copy_(module.k_proj.weight)
    for layer in model.memory_attention.layers:
        for attention in (layer.self_attn, layer.cross_attn_image):
            attention.q_proj.bias.fill_(0.5)
            attention.k_proj.bias.fill_(0.5)
