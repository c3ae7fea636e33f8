"""Files of EdgeTAM in Meta's names (github.com/facebookresearch/EdgeTAM)."""

import math
from typing import Any

from masklet.export.checkpoints.layout import Layout, Shapes, count
from masklet.export.checkpoints.settings import Settings
from masklet.export.families.layouts import sam2
from masklet.export.families.layouts.name_tables import names

BODY = "image_encoder.trunk.body"
ARCHITECTURE = "repvit_m1.dist_in1k"  # sam2/configs/edgetam.yaml; its widths and depths are those of repvit_m1
PUBLISHED = {"embed_dim": [48, 96, 192, 384], "depth": [2, 2, 14, 2]}


def configure(shapes: Shapes, settings: Settings) -> dict[str, Any]:
    """The configuration of an EdgeTamVideoModel."""
    perceiver, latents = "spatial_perceiver.layers.{}", shapes["spatial_perceiver.latents_2d"][0]
    memory = sam2.configure_memory(shapes, settings)
    memory["memory_attention_mlp_hidden_size"] = memory.pop("memory_attention_feed_forward_hidden_size")
    return {
        "model_type": "edgetam_video",
        "vision_config": _vision(shapes, settings),
        **sam2.configure_heads(shapes, settings),
        **memory,
        "memory_attention_rope_k_sizes": [math.isqrt(latents)] * 2,
        "perceiver_resampler_num_latents": shapes["spatial_perceiver.latents"][0],
        "perceiver_resampler_num_latents_2d": latents,
        "perceiver_resampler_hidden_size": shapes["spatial_perceiver.latents"][1],
        "perceiver_resampler_mlp_intermediate_size": shapes[f"{perceiver}.ff.1.weight".format(0)][0],
        "perceiver_resampler_num_attention_heads": settings.get("spatial_perceiver.heads", 1),
        "perceiver_resampler_attention_head_dim": shapes[f"{perceiver}.attn.to_q.weight".format(0)][0]
        // settings.get("spatial_perceiver.heads", 1),
        "perceiver_resampler_num_layers": count(shapes, f"{perceiver}.attn.to_q.weight"),
    }


def _vision(shapes: Shapes, settings: Settings) -> dict[str, Any]:
    block = BODY + ".stages_{}.blocks.{}.token_mixer.conv.c.weight"
    stages = range(count(shapes, block.replace("blocks.{}", "blocks.0")))
    found = {
        "embed_dim": [shapes[block.format(stage, 0)][0] for stage in stages],
        "depth": [count(shapes, block.replace("{}", str(stage), 1)) for stage in stages],
    }
    arguments = {"in_chans": 3, "features_only": True, "out_indices": list(stages)}
    return {
        "model_type": "edgetam_vision_model",
        "backbone_config": {
            "model_type": "timm_wrapper",
            "architecture": settings.get("image_encoder.trunk.name", ARCHITECTURE),
            # Of no use here; left out, timm would look up the classes of ImageNet.
            "label_names": ["LABEL_0", "LABEL_1"],
            "num_classes": 2,
            "model_args": {**arguments, **({} if found == PUBLISHED else found)},
        },
        "backbone_channel_list": found["embed_dim"][::-1],
        "fpn_hidden_size": shapes["image_encoder.neck.convs.0.conv.weight"][0],
        "fpn_top_down_levels": settings.get("image_encoder.neck.fpn_top_down_levels", [2, 3]),
    }


LAYOUT = Layout(
    name="edgetam",
    marks=("spatial_perceiver.latents_2d", f"{BODY}.stem.conv1.c.weight", "maskmem_tpos_enc"),
    names=names("edgetam") + sam2.video_names("memory_attention.", "memory_encoder."),
    configure=configure,
    settings=True,
)
