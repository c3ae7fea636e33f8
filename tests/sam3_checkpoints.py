"""Random SAM 3 checkpoints with a tokenizer, conditioned as those of SAM 2 are."""

from pathlib import Path
from typing import Any

import torch
from checkpoints import condition, draw
from tokenizers import pre_tokenizers
from transformers import (
    CLIPTokenizer,
    Sam3Config,
    Sam3LiteTextConfig,
    Sam3LiteTextModel,
    Sam3Model,
    Sam3TrackerVideoConfig,
    Sam3TrackerVideoModel,
    Sam3VideoConfig,
    Sam3VideoModel,
)

WIDTH = 128
SIDE = 112  # a grid of 8 x 8
WORDS = "a person car red bus visual the dog man in blue shirt white cat truck player bird tree road sign two taxi"
VOCABULARY = 420


def sam3_tokenizer() -> CLIPTokenizer:
    """A tokenizer of CLIP's kind with a small vocabulary: the first of WORDS are short, other English is spelt out.

    Of letters outside ASCII it knows nothing that ends a word, and has the unknown token for them.
    """
    ends = [f"{chr(code)}</w>" for code in range(33, 127)]
    tokens = ["<|startoftext|>", "<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), *ends]
    merges: list[tuple[str, str]] = []
    for word in WORDS.split():
        *letters, last = list(word)
        whole, *rest = [*letters, f"{last}</w>"]
        for piece in rest:
            if whole + piece not in tokens and len(tokens) < VOCABULARY:
                tokens.append(whole + piece)
                merges.append((whole, piece))
            whole += piece
    return CLIPTokenizer(vocab={token: number for number, token in enumerate(tokens)}, merges=merges)


def vision_config(side: int = SIDE) -> dict[str, Any]:
    """The image backbone and its pyramid: three blocks, the middle one global."""
    grid = side // 14
    return {
        "backbone_config": {
            "model_type": "sam3_vit_model",
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "image_size": side,
            "patch_size": 14,
            "window_size": 4,
            "global_attn_indexes": [1],
            "pretrain_image_size": 56,
        },
        "fpn_hidden_size": WIDTH,
        "backbone_feature_sizes": [[4 * grid] * 2, [2 * grid] * 2, [grid] * 2],
    }


def detector_config(side: int = SIDE, *, lite: bool = False) -> Any:
    """Sam3Config, or Sam3LiteTextConfig, with 20 queries."""
    text: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_attention_heads": 4,
    }
    text |= {"projection_dim": 32, "hidden_act": "gelu", "bos_token_id": 0, "eos_token_id": 1}
    if lite:
        text |= {"model_type": "sam3_lite_text_text_model", "num_hidden_layers": 4, "max_position_embeddings": 77}
        text |= {"layer_scale_init_value": 0.1}
    else:
        text |= {"model_type": "clip_text_model", "num_hidden_layers": 2, "max_position_embeddings": 32}
    part = {"hidden_size": WIDTH, "num_attention_heads": 8}
    layers = {**part, "num_layers": 2, "intermediate_size": 128}
    return (Sam3LiteTextConfig if lite else Sam3Config)(
        vision_config={"model_type": "sam3_vision_model", **vision_config(side)},
        text_config=text,
        geometry_encoder_config=dict(layers),
        detr_encoder_config=dict(layers),
        detr_decoder_config={**layers, "num_layers": 3, "num_queries": 20},
        mask_decoder_config=dict(part),
    )


def tracker_config(side: int = SIDE) -> Any:
    """Sam3TrackerVideoConfig in the layout of the nano SAM 2 of other tests."""
    return Sam3TrackerVideoConfig(
        vision_config={"model_type": "sam3_vision_model", **vision_config(side)},
        prompt_encoder_config={"hidden_size": WIDTH},
        mask_decoder_config={"hidden_size": WIDTH, "mlp_dim": 256, "iou_head_hidden_dim": WIDTH},
        memory_attention_hidden_size=WIDTH,
        memory_attention_num_layers=2,
        memory_attention_feed_forward_hidden_size=256,
        memory_encoder_hidden_size=WIDTH,
        mask_downsampler_embed_dim=WIDTH,
        memory_fuser_embed_dim=WIDTH,
        memory_fuser_intermediate_dim=256,
        image_size=side,
    )


def video_config(side: int = SIDE) -> Any:
    """Sam3VideoConfig of the two."""
    grid = side // 14
    return Sam3VideoConfig(
        detector_config=detector_config(side).to_dict(),
        tracker_config=tracker_config(side).to_dict(),
        low_res_mask_size=4 * grid,
    )


def random_sam3(config: Any, seed: int = 0) -> Any:
    """The model of a configuration with conditioned random weights; the same for the same seed."""
    architectures = {
        Sam3Config: Sam3Model,
        Sam3LiteTextConfig: Sam3LiteTextModel,
        Sam3TrackerVideoConfig: Sam3TrackerVideoModel,
        Sam3VideoConfig: Sam3VideoModel,
    }
    torch.manual_seed(seed)
    model: Any = architectures[type(config)](config).eval().requires_grad_(False)
    tracker = getattr(model, "tracker_model", model if isinstance(model, Sam3TrackerVideoModel) else None)
    draw(model, seed)
    if tracker is not None:
        condition(tracker, seed)
    _draw_batch_norms(model, seed)
    return model


def _draw_batch_norms(model: Any, seed: int) -> None:
    """Statistics and weights of their own for batch norms, so that folding them shows."""
    generator = torch.Generator().manual_seed(seed + 2)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.5)
            module.weight.copy_(torch.rand(module.weight.shape, generator=generator) * 0.5 + 0.5)


def save_sam3(model: Any, folder: Path) -> Path:
    """Write a checkpoint with its tokenizer and return its folder."""
    model.save_pretrained(folder)
    sam3_tokenizer().save_pretrained(folder)
    return folder
