"""Files of EfficientTAM in its authors' names (github.com/yformer/EfficientTAM)."""

from math import isqrt
from typing import Any

from masklet.export.checkpoints.layout import Layout, Shapes, count
from masklet.export.checkpoints.settings import Settings
from masklet.export.families.layouts import sam2
from masklet.export.families.layouts.name_tables import names
from masklet.runtime.errors import ExportError

TRUNK, NECK = "image_encoder.trunk", "image_encoder.neck"
HEADS = {192: 3, 384: 6}  # by width: configs/efficienttam/*.yaml
WINDOWED = [0, 1, 3, 4, 6, 7, 9, 10]  # blocks; of twelve
ATTENTION = "memory_attention.layer.cross_attention._target_"
# What published files have in their names alone: the image size, and the class that attends to memories.
SUFFIXES = {
    "": (1024, "RoPEAttention"),
    "_1": (1024, "EfficientRoPEAttention1"),
    "_2": (1024, "EfficientRoPEAttention2"),
    "_512x512": (512, "RoPEAttention"),
}
PUBLISHED = {f"efficienttam_{size}{suffix}": said for size in ("ti", "s") for suffix, said in SUFFIXES.items()}


def configure(shapes: Shapes, settings: Settings) -> dict[str, Any]:
    """The configuration of an EfficientTamModel."""
    side, attention = _not_in_weights(settings)
    heads = sam2.configure_heads(shapes, settings)
    heads["image_size"] = heads["prompt_encoder_config"]["image_size"] = side
    return {
        "model_type": "efficienttam",
        "vision_config": _vision(shapes, settings, side),
        **heads,
        **sam2.configure_memory(shapes, settings),
        "memory_attention_rope_feat_sizes": [side // 16] * 2,
        "memory_cross_attention": attention,
    }


def _not_in_weights(settings: Settings) -> tuple[int, str]:
    """The image size and the class of the attention to memories. Raises ExportError where nothing says them."""
    if settings.path is not None:
        return settings.get("image_size", 512), settings.get(ATTENTION, "RoPEAttention").rpartition(".")[2]
    if settings.stem not in PUBLISHED:
        raise ExportError(
            "is an EfficientTAM under a name of its own, and its image size and its attention to memories do not show "
            "in its weights; give the YAML that it was trained with: --config efficienttam_ti.yaml"
        )
    return PUBLISHED[settings.stem]


def _vision(shapes: Shapes, settings: Settings, side: int) -> dict[str, Any]:
    block = TRUNK + ".blocks.{}.attn.proj.weight"
    width, _, patch, _ = shapes[f"{TRUNK}.patch_embed.proj.weight"]
    blocks, grid = count(shapes, block), side // patch
    settings.agree("image_encoder.trunk.embed_dim", width, 768)
    settings.agree("image_encoder.trunk.depth", blocks, 12)
    if settings.path is None and (width not in HEADS or blocks != len(WINDOWED) + 4):
        raise ExportError(
            f"is an EfficientTAM of no published size (width {width}, {blocks} blocks), and heads and windows do not "
            "show in its weights; give the YAML that it was trained with: --config FILE.yaml"
        )
    windowed = settings.get("image_encoder.trunk.window_block_indexes", WINDOWED)
    return {
        "model_type": "efficienttam_vision_model",
        "hidden_size": width,
        "output_channels": shapes[f"{NECK}.convs.0.conv_1x1.weight"][0],
        "num_hidden_layers": blocks,
        "num_attention_heads": settings.get("image_encoder.trunk.num_heads", HEADS.get(width, 12)),
        "image_size": side,
        "patch_size": patch,
        "mlp_dim": shapes[f"{TRUNK}.blocks.0.mlp.layers.0.weight"][0],
        "mlp_ratio": shapes[f"{TRUNK}.blocks.0.mlp.layers.0.weight"][0] / width,
        "window_size": settings.get("image_encoder.trunk.window_size", 14),
        "global_attn_indexes": [index for index in range(blocks) if index not in windowed],
        "pretrain_grid": isqrt(shapes[f"{TRUNK}.pos_embed"][1] - 1),
        "backbone_feature_sizes": [[grid, grid]],
    }


LAYOUT = Layout(
    name="efficienttam",
    marks=(f"{NECK}.convs.0.conv_1x1.weight", f"{TRUNK}.blocks.0.attn.qkv.weight", "maskmem_tpos_enc"),
    names=names("efficienttam") + sam2.video_names("memory_attention.", "memory_encoder."),
    configure=configure,
    settings=True,
)
