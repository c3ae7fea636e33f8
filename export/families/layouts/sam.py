"""Files of SAM in Meta's names (github.com/facebookresearch/segment-anything); SlimSAM's too, which keeps them."""

from typing import Any

from masklet.export.checkpoints.layout import Layout, Shapes, count
from masklet.export.checkpoints.settings import Settings
from masklet.export.families.layouts.name_tables import names

VIT, POSITIONS = "image_encoder", "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
HEADS = (
    names("sam_heads")
    + names("prompt_encoder").under("prompt_encoder.", "prompt_encoder.")
    + names("mask_decoder").under("mask_decoder.", "mask_decoder.")
)


def configure(shapes: Shapes, settings: Settings) -> dict[str, Any]:
    """The configuration of a SamModel: its shapes say everything."""
    return {"model_type": "sam", **configure_model(shapes)}


def configure_model(shapes: Shapes) -> dict[str, Any]:
    """The parts of SAM, which SAM-HQ has as well."""
    vision = _vision(shapes)
    return {"vision_config": vision, **configure_heads(shapes, vision)}


def configure_heads(shapes: Shapes, vision: dict[str, Any], norm_eps: float = 1e-6) -> dict[str, Any]:
    """The prompt encoder and the mask decoder behind a vision encoder.

    norm_eps: of the decoder's layer norms, which is 1e-5 in Meta's code and 1e-6 in transformers' and its checkpoints.
    """
    width = shapes["mask_decoder.iou_token.weight"][1]
    layers = "mask_decoder.transformer.layers.{}.mlp.lin1.weight"
    return {
        "prompt_encoder_config": {
            "hidden_size": width,
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
        },
        "mask_decoder_config": {
            "hidden_size": width,
            "mlp_dim": shapes[layers.format(0)][0],
            "num_hidden_layers": count(shapes, layers),
            "num_multimask_outputs": shapes["mask_decoder.mask_tokens.weight"][0] - 1,
            "iou_head_hidden_dim": shapes["mask_decoder.iou_prediction_head.layers.0.weight"][0],
            "layer_norm_eps": norm_eps,
        },
    }


def _vision(shapes: Shapes) -> dict[str, Any]:
    """Positions are relative: as many as twice a window's edge, less one, or the map's where attention is global."""
    width, _, patch, _ = shapes[f"{VIT}.patch_embed.proj.weight"]
    grid = shapes[f"{VIT}.pos_embed"][1]
    block = VIT + ".blocks.{}.attn.rel_pos_h"
    positions = [shapes[block.format(i)] for i in range(count(shapes, block))]
    windows = [(length + 1) // 2 for length, _ in positions]
    return {
        "hidden_size": width,
        "output_channels": shapes[f"{VIT}.neck.0.weight"][0],
        "num_hidden_layers": len(positions),
        "num_attention_heads": shapes[f"{VIT}.blocks.0.attn.proj.weight"][0] // positions[0][1],
        "image_size": grid * patch,
        "patch_size": patch,
        "window_size": next((window for window in windows if window != grid), 14),
        "global_attn_indexes": [index for index, window in enumerate(windows) if window == grid],
        "num_pos_feats": shapes[POSITIONS][1],
        "mlp_dim": shapes[f"{VIT}.blocks.0.mlp.lin1.weight"][0],
    }


LAYOUT = Layout(
    name="sam",
    marks=(f"{VIT}.blocks.0.attn.rel_pos_h", POSITIONS),
    names=names("sam") + HEADS,
    configure=configure,
)
