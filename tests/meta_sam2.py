"""Meta's own SAM 2 (rf-sam-2 on PyPI) with the weights of a model of transformers, of whatever dimensions."""

import warnings
from pathlib import Path
from typing import Any

import torch
from apart import SAM2, Package
from torch.overrides import TorchFunctionMode
from weights_files import their_weights

CONFIGS = {"tiny": "t", "small": "s", "base-plus": "b+", "large": "l"}


def published_yaml(size: str, version: str = "2.1") -> Path:
    """The YAML of a published size, as the package has it."""
    prefix = "sam2.1" if version == "2.1" else "sam2"
    return Path(SAM2("build_sam").__file__ or "").parent / f"configs/{prefix}/{prefix}_hiera_{CONFIGS[size]}.yaml"


def published_model(size: str, version: str = "2.1", device: str = "meta") -> Any:
    """Meta's SAM2VideoPredictor of a published size; on the meta device it has names and shapes but no weights."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    described = OmegaConf.load(published_yaml(size, version)).model
    described["_target_"] = "sam2.sam2_video_predictor.SAM2VideoPredictor"
    with torch.device(device), _NumbersOnCpu(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return instantiate(described).eval()


class _NumbersOnCpu(TorchFunctionMode):
    """Keeps torch.linspace on the CPU: Meta's constructors read its numbers, which the meta device does not have."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if func is torch.linspace:
            given["device"] = "cpu"
        return func(*args, **given)


def meta_predictor(model: Any, *, module: str = "sam2_video_predictor", **options: Any) -> Any:
    """Meta's SAM2VideoPredictor with the weights of a Sam2VideoModel.

    Meta's constructors fix some widths and heads; those parts are built by hand, from Meta's classes too.
    module: where the class is; options: of its constructor, such as fill_hole_area and non_overlap_masks.
    """
    config = model.config
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predictor = SAM2(module).SAM2VideoPredictor(
            image_encoder=_image_encoder(config.vision_config),
            memory_attention=_memory_attention(config),
            memory_encoder=memory_encoder(SAM2, config),
            **flags(config),
            **options,
        )
    predictor.sam_mask_decoder = mask_decoder(SAM2, config)
    predictor.load_state_dict(their_weights("sam2", model))
    return predictor.eval()


def flags(config: Any) -> dict[str, Any]:
    """Arguments of SAM2Base that a configuration says, and those that every YAML has."""
    newer = config.enable_temporal_pos_encoding_for_object_pointers
    return {
        "num_maskmem": config.num_maskmem,
        "image_size": config.image_size,
        "max_cond_frames_in_attn": config.max_cond_frame_num,
        "no_obj_embed_spatial": config.enable_occlusion_spatial_embedding,
        "add_tpos_enc_to_obj_ptrs": newer,
        "proj_tpos_enc_in_obj_ptrs": newer,
        "use_signed_tpos_enc_to_obj_ptrs": newer,
        **PUBLISHED_FLAGS,
    }


# What every published YAML says, and what build_sam.py adds to it (apply_postprocessing).
PUBLISHED_FLAGS = {
    "sigmoid_scale_for_mem_enc": 20.0,
    "sigmoid_bias_for_mem_enc": -10.0,
    "use_mask_input_as_output_without_sam": True,
    "directly_add_no_mem_embed": True,
    "use_high_res_features_in_sam": True,
    "multimask_output_in_sam": True,
    "iou_prediction_use_sigmoid": True,
    "use_obj_ptrs_in_encoder": True,
    "only_obj_ptrs_in_the_past_for_eval": True,
    "pred_obj_scores": True,
    "pred_obj_scores_mlp": True,
    "fixed_no_obj_ptr": True,
    "multimask_output_for_tracking": True,
    "use_multimask_token_for_obj_ptr": True,
    "multimask_min_pt_num": 0,
    "multimask_max_pt_num": 1,
    "use_mlp_for_obj_ptr_proj": True,
    "binarize_mask_from_pts_for_mem_enc": True,
}


def _image_encoder(config: Any) -> Any:
    backbone = config.backbone_config
    return SAM2("modeling.backbones.image_encoder").ImageEncoder(
        scalp=1,
        trunk=SAM2("modeling.backbones.hieradet").Hiera(
            embed_dim=backbone.hidden_size,
            num_heads=backbone.num_attention_heads,
            stages=tuple(backbone.blocks_per_stage),
            global_att_blocks=tuple(backbone.global_attention_blocks),
            window_pos_embed_bkg_spatial_size=tuple(backbone.window_positional_embedding_background_size),
            window_spec=tuple(backbone.window_size_per_stage),
        ),
        neck=neck(SAM2, config),
    )


def neck(package: Package, config: Any) -> Any:
    """The feature pyramid of a vision configuration."""
    width = config.fpn_hidden_size
    return package("modeling.backbones.image_encoder").FpnNeck(
        position_encoding=sine(package, width),
        d_model=width,
        backbone_channel_list=list(config.backbone_channel_list),
        fpn_top_down_levels=list(config.fpn_top_down_levels),
        fpn_interp_model="nearest",
    )


def sine(package: Package, width: int) -> Any:
    """The sine encoding of positions."""
    return package("modeling.position_encoding").PositionEmbeddingSine(num_pos_feats=width, normalize=True)


def _memory_attention(config: Any) -> Any:
    rotary, grid = SAM2("modeling.sam.transformer").RoPEAttention, config.image_size // 16
    shared = {**attention(config), "feat_sizes": [grid, grid]}
    return memory_attention(
        SAM2,
        config,
        config.memory_attention_feed_forward_hidden_size,
        rotary(**shared),
        rotary(**shared, rope_k_repeat=True, kv_in_dim=config.memory_encoder_output_channels),
    )


def attention(config: Any) -> dict[str, Any]:
    """What both attentions of a layer have."""
    return {"embedding_dim": config.memory_attention_hidden_size, "num_heads": 1, "downsample_rate": 1}


def memory_attention(package: Package, config: Any, inner: int, among: Any, to_memory: Any) -> Any:
    """The memory attention of two attentions: of cells among each other, and to memories."""
    parts, width = package("modeling.memory_attention"), config.memory_attention_hidden_size
    layer = parts.MemoryAttentionLayer(
        activation="relu",
        dim_feedforward=inner,
        dropout=0.1,
        pos_enc_at_attn=False,
        self_attention=among,
        d_model=width,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        cross_attention=to_memory,
    )
    return parts.MemoryAttention(
        d_model=width, pos_enc_at_input=True, layer=layer, num_layers=config.memory_attention_num_layers
    )


def memory_encoder(package: Package, config: Any) -> Any:
    """The memory encoder."""
    parts, width = package("modeling.memory_encoder"), config.memory_fuser_embed_dim
    block, inner = parts.CXBlock(dim=width), config.memory_fuser_intermediate_dim
    block.pwconv1, block.pwconv2 = torch.nn.Linear(width, inner), torch.nn.Linear(inner, width)
    return parts.MemoryEncoder(
        out_dim=config.memory_encoder_output_channels,
        in_dim=config.memory_encoder_hidden_size,
        position_encoding=sine(package, config.memory_encoder_output_channels),
        mask_downsampler=parts.MaskDownSampler(
            embed_dim=config.mask_downsampler_embed_dim, kernel_size=3, stride=2, padding=1
        ),
        fuser=parts.Fuser(block, num_layers=config.memory_fuser_num_layers),
    )


def mask_decoder(package: Package, config: Any, *, fine: bool = True) -> Any:
    """The mask decoder, which SAM2Base builds of fixed widths. fine: whether it takes finer maps."""
    decoder = config.mask_decoder_config
    return package("modeling.sam.mask_decoder").MaskDecoder(
        num_multimask_outputs=3,
        transformer=package("modeling.sam.transformer").TwoWayTransformer(
            depth=decoder.num_hidden_layers,
            embedding_dim=decoder.hidden_size,
            mlp_dim=decoder.mlp_dim,
            num_heads=decoder.num_attention_heads,
        ),
        transformer_dim=decoder.hidden_size,
        iou_head_depth=3,
        iou_head_hidden_dim=decoder.iou_head_hidden_dim,
        use_high_res_features=fine,
        iou_prediction_use_sigmoid=True,
        pred_obj_scores=True,
        pred_obj_scores_mlp=True,
        use_multimask_token_for_obj_ptr=True,
        dynamic_multimask_via_stability=decoder.dynamic_multimask_via_stability,
        dynamic_multimask_stability_delta=decoder.dynamic_multimask_stability_delta,
        dynamic_multimask_stability_thresh=decoder.dynamic_multimask_stability_thresh,
    )
