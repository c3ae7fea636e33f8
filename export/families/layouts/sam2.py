"""Files of SAM 2 and SAM 2.1 in Meta's names (github.com/facebookresearch/sam2)."""

from typing import Any, NamedTuple

from masklet.export.checkpoints.layout import Layout, Shapes, count
from masklet.export.checkpoints.name_map import NameMap
from masklet.export.checkpoints.settings import Settings
from masklet.export.families.layouts.name_tables import names
from masklet.runtime.errors import ExportError

TRUNK = "image_encoder.trunk"


class Hidden(NamedTuple):
    """What the shapes of a Hiera do not show: heads of the first stage, windows, and blocks of global attention."""

    heads: int
    windows: tuple[int, ...]
    global_blocks: tuple[int, ...]


# By width and blocks of each stage: sam2/configs/sam2.1/*.yaml, and hieradet.py where they leave values out.
PUBLISHED: dict[tuple[int, tuple[int, ...]], Hidden] = {
    (96, (1, 2, 7, 2)): Hidden(1, (8, 4, 14, 7), (5, 7, 9)),
    (96, (1, 2, 11, 2)): Hidden(1, (8, 4, 14, 7), (7, 10, 13)),
    (112, (2, 3, 16, 3)): Hidden(2, (8, 4, 14, 7), (12, 16, 20)),
    (144, (2, 6, 36, 4)): Hidden(2, (8, 4, 16, 8), (23, 33, 43)),
}

# What a YAML file may say of the heads and the memory, and all published ones of SAM 2, EdgeTAM and EfficientTAM say
# alike. It does not show in the weights.
FIXED: dict[str, Any] = {
    "iou_prediction_use_sigmoid": True,
    "use_mask_input_as_output_without_sam": True,
    "directly_add_no_mem_embed": True,
    "use_obj_ptrs_in_encoder": True,
    "only_obj_ptrs_in_the_past_for_eval": True,
    "use_multimask_token_for_obj_ptr": True,
    "pred_obj_scores": True,
    "fixed_no_obj_ptr": True,
    "soft_no_obj_ptr": False,
    "memory_temporal_stride_for_eval": 1,
    "memory_attention.pos_enc_at_input": True,
    "memory_attention.layer.pos_enc_at_attn": False,
    "memory_attention.layer.pos_enc_at_cross_attn_keys": True,
    "memory_attention.layer.pos_enc_at_cross_attn_queries": False,
    "memory_attention.layer.self_attention.rope_theta": 10000.0,
    "memory_attention.layer.cross_attention.rope_theta": 10000.0,
}


def video_names(attention: str, encoder: str) -> NameMap:
    """What SAM 2 and models made from it have in common. attention, encoder: their names of the two, with a point."""
    return (
        names("sam2_heads")
        + names("prompt_encoder").under("sam_prompt_encoder.", "prompt_encoder.")
        + names("mask_decoder").under("sam_mask_decoder.", "mask_decoder.")
        + names("memory_attention").under(attention, "memory_attention.")
        + names("memory_encoder").under(encoder, "memory_encoder.")
    )


def configure(shapes: Shapes, settings: Settings) -> dict[str, Any]:
    """The configuration of a Sam2VideoModel."""
    return {
        "model_type": "sam2_video",
        "vision_config": _vision(shapes, settings),
        **configure_heads(shapes, settings),
        **configure_memory(shapes, settings),
    }


def configure_heads(shapes: Shapes, settings: Settings) -> dict[str, Any]:
    """The prompt encoder, the mask decoder and how they are used; `sam2_base.py` has the defaults."""
    width = shapes["sam_mask_decoder.iou_token.weight"][1]
    decoder = "sam_mask_decoder.transformer.layers.{}.mlp.layers.0.weight"
    extra = "sam_mask_decoder_extra_args.dynamic_multimask"
    for name, value in FIXED.items():
        settings.require(name, value)
    side = settings.get("image_size", 1024)
    return {
        "image_size": side,
        "prompt_encoder_config": {"hidden_size": width, "image_size": side},
        "mask_decoder_config": {
            "hidden_size": width,
            "mlp_dim": shapes[decoder.format(0)][0],
            "num_hidden_layers": count(shapes, decoder),
            "num_multimask_outputs": shapes["sam_mask_decoder.mask_tokens.weight"][0] - 1,
            "iou_head_hidden_dim": shapes["sam_mask_decoder.iou_prediction_head.layers.0.weight"][0],
            # On by default, as in build_sam.py 88-94 (apply_postprocessing).
            "dynamic_multimask_via_stability": settings.get(f"{extra}_via_stability", True),
            "dynamic_multimask_stability_delta": settings.get(f"{extra}_stability_delta", 0.05),
            "dynamic_multimask_stability_thresh": settings.get(f"{extra}_stability_thresh", 0.98),
        },
        "multimask_output_in_sam": settings.get("multimask_output_in_sam", True),
        "multimask_min_pt_num": settings.get("multimask_min_pt_num", 0),
        "multimask_max_pt_num": settings.get("multimask_max_pt_num", 1),
        "multimask_output_for_tracking": settings.get("multimask_output_for_tracking", True),
    }


def configure_memory(shapes: Shapes, settings: Settings) -> dict[str, Any]:
    """The memory encoder, the memory attention and the bank."""
    frames, width = shapes["maskmem_tpos_enc"][0], shapes["maskmem_tpos_enc"][-1]
    settings.agree("num_maskmem", frames, 7)
    hidden = shapes["no_mem_embed"][-1]
    layers = "memory_attention.layers.{}.linear1.weight"
    fuser = "memory_encoder.fuser.layers.{}.pwconv1.weight"
    settings.agree("memory_attention.num_layers", count(shapes, layers), count(shapes, layers))
    settings.agree("memory_attention.d_model", hidden, hidden)
    timed, marked = "obj_ptr_tpos_proj.weight" in shapes, "no_obj_embed_spatial" in shapes
    settings.agree("add_tpos_enc_to_obj_ptrs", timed, timed)
    settings.agree("no_obj_embed_spatial", marked, marked)
    return {
        "num_maskmem": frames,
        "max_cond_frame_num": settings.get("max_cond_frames_in_attn", -1),
        "max_object_pointers_in_encoder": settings.get("max_obj_ptrs_in_encoder", 16),
        "sigmoid_scale_for_mem_enc": settings.get("sigmoid_scale_for_mem_enc", 20.0),
        "sigmoid_bias_for_mem_enc": settings.get("sigmoid_bias_for_mem_enc", -10.0),
        "enable_temporal_pos_encoding_for_object_pointers": timed,
        "enable_occlusion_spatial_embedding": marked,
        "memory_attention_hidden_size": hidden,
        "memory_attention_num_layers": count(shapes, layers),
        "memory_attention_feed_forward_hidden_size": shapes[layers.format(0)][0],
        "memory_attention_num_attention_heads": settings.get("memory_attention.layer.self_attention.num_heads", 1),
        "memory_encoder_hidden_size": shapes["memory_encoder.pix_feat_proj.weight"][0],
        "memory_encoder_output_channels": width,
        "mask_downsampler_embed_dim": shapes["memory_encoder.mask_downsampler.encoder.12.weight"][0],
        "memory_fuser_num_layers": count(shapes, fuser),
        "memory_fuser_embed_dim": shapes[fuser.format(0)][1],
        "memory_fuser_intermediate_dim": shapes[fuser.format(0)][0],
    }


def _vision(shapes: Shapes, settings: Settings) -> dict[str, Any]:
    width, blocks, widths = _stages(shapes)
    hidden = _hidden(width, blocks, settings)
    background = list(shapes[f"{TRUNK}.pos_embed"][2:])
    settings.require("image_encoder.scalp", 1)
    settings.require("image_encoder.neck.fpn_interp_model", "nearest")
    settings.agree("image_encoder.trunk.embed_dim", width, 96)
    settings.agree("image_encoder.trunk.stages", blocks, [2, 3, 16, 3])
    settings.agree("image_encoder.trunk.window_pos_embed_bkg_spatial_size", background, [14, 14])
    settings.agree("image_encoder.trunk.window_spec", list(hidden.windows), [8, 4, 14, 7])
    return {
        "backbone_config": {
            "model_type": "sam2_hiera_det_model",
            "hidden_size": width,
            "num_attention_heads": hidden.heads,
            "blocks_per_stage": blocks,
            "embed_dim_per_stage": widths,
            "num_attention_heads_per_stage": [hidden.heads * 2**stage for stage in range(len(blocks))],
            "window_size_per_stage": list(hidden.windows),
            "global_attention_blocks": list(hidden.global_blocks),
            "window_positional_embedding_background_size": background,
        },
        "backbone_channel_list": widths[::-1],
        "fpn_hidden_size": shapes["image_encoder.neck.convs.0.conv.weight"][0],
        "fpn_top_down_levels": settings.get("image_encoder.neck.fpn_top_down_levels", [2, 3]),
    }


def _stages(shapes: Shapes) -> tuple[int, list[int], list[int]]:
    """The width of the first stage, and of every stage its blocks and its width: a stage begins where it changes."""
    block = TRUNK + ".blocks.{}.attn.proj.weight"
    outputs = [shapes[block.format(i)][0] for i in range(count(shapes, block))]
    widths = list(dict.fromkeys(outputs))
    return widths[0], [outputs.count(width) for width in widths], widths


def _hidden(width: int, blocks: list[int], settings: Settings) -> Hidden:
    if settings.path is not None:
        return Hidden(
            settings.get("image_encoder.trunk.num_heads", 1),
            tuple(settings.get("image_encoder.trunk.window_spec", [8, 4, 14, 7])),
            tuple(settings.get("image_encoder.trunk.global_att_blocks", [12, 16, 20])),
        )
    if (published := PUBLISHED.get((width, tuple(blocks)))) is None:
        raise ExportError(
            f"is a SAM 2 of no published size (width {width}, {blocks} blocks), and heads and windows do not show "
            "in its weights; give the YAML that it was trained with: --config FILE.yaml"
        )
    return published


LAYOUT = Layout(
    name="sam2",
    marks=(f"{TRUNK}.pos_embed_window", "maskmem_tpos_enc", "memory_attention.layers.0.cross_attn_image.q_proj.weight"),
    names=names("sam2") + video_names("memory_attention.", "memory_encoder."),
    configure=configure,
    settings=True,
)
