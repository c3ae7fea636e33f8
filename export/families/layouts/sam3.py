"""Files of SAM 3 in Meta's names (github.com/facebookresearch/sam3): the detector and the tracker in one file."""

from typing import Any, NamedTuple

from masklet.export.checkpoints.layout import Layout, Shapes, count
from masklet.export.checkpoints.name_map import NameMap
from masklet.export.checkpoints.settings import Settings
from masklet.export.families.layouts import sam2
from masklet.export.families.layouts.name_tables import names
from masklet.runtime.errors import ExportError

WHY_NO_YAML = "of which no YAML gives dimensions: sam3/model_builder.py builds the one published size"
BACKBONE = "backbone.vision_backbone"
TEXT = "backbone.language_backbone.encoder"


class Hidden(NamedTuple):
    """What shapes do not show: heads of the backbone, its windows and blocks of global attention; heads elsewhere."""

    image_size: int
    heads: int
    window: int
    global_blocks: tuple[int, ...]
    text_heads: int
    detector_heads: int


PUBLISHED: dict[tuple[int, int], Hidden] = {(1024, 32): Hidden(1008, 16, 24, (7, 15, 23, 31), 16, 8)}
"""By width and blocks of the backbone: sam3/model_builder.py 70-101, 216-295."""


def configure(shapes: Shapes, settings: Settings) -> dict[str, Any]:
    """The configuration of a Sam3VideoModel."""
    detector = {n.removeprefix("detector."): shape for n, shape in shapes.items() if n.startswith("detector.")}
    tracker = {n.removeprefix("tracker."): shape for n, shape in shapes.items() if n.startswith("tracker.")}
    config = configure_detector(detector, settings)
    side = config["vision_config"]["backbone_config"]["image_size"]
    patch = config["vision_config"]["backbone_config"]["patch_size"]
    return {
        "model_type": "sam3_video",
        "detector_config": config,
        "tracker_config": _tracker(tracker, settings, config["vision_config"]),
        "low_res_mask_size": 4 * side // patch,
    }


def configure_detector(shapes: Shapes, settings: Settings) -> dict[str, Any]:
    """The configuration of a Sam3Model."""
    vision, hidden = _vision(shapes)
    width = shapes["geometry_encoder.cls_embed.weight"][1]
    part = {"hidden_size": width, "num_attention_heads": hidden.detector_heads}
    return {
        "model_type": "sam3",
        "vision_config": vision,
        "text_config": _text(shapes, hidden),
        "geometry_encoder_config": {**part, **_layers(shapes, "geometry_encoder.encode")},
        "detr_encoder_config": {**part, **_layers(shapes, "transformer.encoder.layers")},
        "detr_decoder_config": {
            **part,
            **_layers(shapes, "transformer.decoder.layers"),
            "num_queries": shapes["transformer.decoder.query_embed.weight"][0],
        },
        "mask_decoder_config": {
            **part,
            "num_upsampling_stages": count(shapes, "segmentation_head.pixel_decoder.conv_layers.{}.weight"),
        },
    }


def _vision(shapes: Shapes) -> tuple[dict[str, Any], Hidden]:
    trunk, blocks = f"{BACKBONE}.trunk", f"{BACKBONE}.trunk.blocks"
    width, _, patch, _ = shapes[f"{trunk}.patch_embed.proj.weight"]
    layers = count(shapes, blocks + ".{}.norm1.weight")
    if (hidden := PUBLISHED.get((width, layers))) is None:
        raise ExportError(f"is a SAM 3 of no published size: its image backbone has {layers} blocks of width {width}")
    grid = hidden.image_size // patch
    pretrained = round((shapes[f"{trunk}.pos_embed"][1] - 1) ** 0.5)  # one more place is that of a class token
    backbone = {
        "model_type": "sam3_vit_model",
        "hidden_size": width,
        "intermediate_size": shapes[f"{blocks}.0.mlp.fc1.weight"][0],
        "num_hidden_layers": layers,
        "num_attention_heads": hidden.heads,
        "image_size": hidden.image_size,
        "patch_size": patch,
        "window_size": hidden.window,
        "global_attn_indexes": list(hidden.global_blocks),
        "pretrain_image_size": pretrained * patch,
    }
    vision = {
        "model_type": "sam3_vision_model",
        "backbone_config": backbone,
        "fpn_hidden_size": shapes[f"{BACKBONE}.convs.0.conv_1x1.weight"][0],
        "backbone_feature_sizes": [[4 * grid] * 2, [2 * grid] * 2, [grid] * 2],
    }
    return vision, hidden


def _text(shapes: Shapes, hidden: Hidden) -> dict[str, Any]:
    block = TEXT + ".transformer.resblocks.{}.mlp.c_fc.weight"
    inner, width = shapes[block.format(0)]
    words = shapes[f"{TEXT}.token_embedding.weight"][0]
    return {
        "model_type": "clip_text_model",
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": inner,
        "projection_dim": shapes[f"{TEXT}.text_projection"][1],
        "num_hidden_layers": count(shapes, block),
        "num_attention_heads": hidden.text_heads,
        "max_position_embeddings": shapes[f"{TEXT}.positional_embedding"][0],
        "hidden_act": "gelu",
    }


def _layers(shapes: Shapes, name: str) -> dict[str, int]:
    """How many layers of a name there are, and how wide their perceptrons are."""
    layer = name + ".{}.linear1.weight"
    return {"num_layers": count(shapes, layer), "intermediate_size": shapes[layer.format(0)][0]}


def _tracker(shapes: Shapes, settings: Settings, vision: dict[str, Any]) -> dict[str, Any]:
    """The tracker's configuration, by SAM 2's names of its parts."""
    renamed = {_as_sam2(name): shape for name, shape in shapes.items()}
    side = vision["backbone_config"]["image_size"]
    heads = sam2.configure_heads(renamed, settings)
    heads["prompt_encoder_config"] = {"hidden_size": heads["prompt_encoder_config"]["hidden_size"], "image_size": side}
    return {
        "model_type": "sam3_tracker_video",
        "vision_config": vision,
        **heads,
        **sam2.configure_memory(renamed, settings),
        "max_cond_frame_num": 4,  # model_builder.py 470: max_cond_frames_in_attn
        "image_size": side,
    }


def _as_sam2(name: str) -> str:
    """What SAM 2 calls a tensor of the tracker."""
    for ours, theirs in (("transformer.encoder.", "memory_attention."), ("maskmem_backbone.", "memory_encoder.")):
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name.replace(".mlp.lin1.", ".mlp.layers.0.")


def detector_names() -> NameMap:
    """The detector, by Sam3Model's names."""
    return names("sam3_detector") + names("sam3_neck").under(f"{BACKBONE}.convs.", "vision_encoder.neck.")


LAYOUT = Layout(
    name="sam3",
    marks=(f"detector.{BACKBONE}.trunk.ln_pre.weight", "tracker.maskmem_tpos_enc"),
    names=detector_names().under("detector.", "detector_model.")
    + names("sam3_neck").under(f"detector.{BACKBONE}.sam2_convs.", "tracker_neck.")
    + (names("sam3_tracker") + sam2.video_names("transformer.encoder.", "maskmem_backbone.")).under(
        "tracker.", "tracker_model."
    ),
    configure=configure,
    why_none=WHY_NO_YAML,
)
