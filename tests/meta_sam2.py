"""Meta's own SAM 2 (rf-sam-2 on PyPI), for tests that compare with it, and files as its repository writes them."""

import importlib
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from weights_files import their_weights

INSTALL = "Meta's own SAM 2 is not installed: make test sets it up, or pip install --no-deps -r tests/oracle.txt"
CONFIGS = {"tiny": "t", "small": "s", "base-plus": "b+", "large": "l"}


def require_sam2() -> Any:
    """Meta's package, or a skip that says how to install it."""
    return pytest.importorskip("sam2", reason=INSTALL)


def published_yaml(size: str, version: str = "2.1") -> Path:
    """The YAML of a published size, as the package has it."""
    prefix = "sam2.1" if version == "2.1" else "sam2"
    return Path(require_sam2().__file__).parent / f"configs/{prefix}/{prefix}_hiera_{CONFIGS[size]}.yaml"


def published_model(size: str, version: str = "2.1", device: str = "meta") -> Any:
    """Meta's SAM2VideoPredictor of a published size; on the meta device it has names and shapes but no weights."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    described = OmegaConf.load(published_yaml(size, version)).model
    described["_target_"] = "sam2.sam2_video_predictor.SAM2VideoPredictor"
    with torch.device(device), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return instantiate(described).eval()


def meta_predictor(model: Any, *, target: str = "sam2.sam2_video_predictor.SAM2VideoPredictor", **options: Any) -> Any:
    """The weights of a Sam2VideoModel in Meta's classes, of whatever dimensions.

    Meta's constructors fix some widths and heads; those parts are built by hand, from Meta's classes too.
    target: the class; options: of its constructor, such as fill_hole_area and non_overlap_masks.
    """
    config = model.config
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predictor = _class(target)(
            image_encoder=_image_encoder(config.vision_config),
            memory_attention=_memory_attention(config),
            memory_encoder=_memory_encoder(config),
            num_maskmem=config.num_maskmem,
            image_size=config.image_size,
            max_cond_frames_in_attn=config.max_cond_frame_num,
            no_obj_embed_spatial=config.enable_occlusion_spatial_embedding,
            add_tpos_enc_to_obj_ptrs=config.enable_temporal_pos_encoding_for_object_pointers,
            proj_tpos_enc_in_obj_ptrs=config.enable_temporal_pos_encoding_for_object_pointers,
            use_signed_tpos_enc_to_obj_ptrs=config.enable_temporal_pos_encoding_for_object_pointers,
            **PUBLISHED_FLAGS,
            **options,
        )
    predictor.sam_mask_decoder = _mask_decoder(config)
    predictor.load_state_dict(their_weights("sam2", model))
    return predictor.eval()


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


def _class(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _image_encoder(config: Any) -> Any:
    from sam2.modeling.backbones.hieradet import Hiera
    from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
    from sam2.modeling.position_encoding import PositionEmbeddingSine

    backbone = config.backbone_config
    return ImageEncoder(
        scalp=1,
        trunk=Hiera(
            embed_dim=backbone.hidden_size,
            num_heads=backbone.num_attention_heads,
            stages=tuple(backbone.blocks_per_stage),
            global_att_blocks=tuple(backbone.global_attention_blocks),
            window_pos_embed_bkg_spatial_size=tuple(backbone.window_positional_embedding_background_size),
            window_spec=tuple(backbone.window_size_per_stage),
        ),
        neck=FpnNeck(
            position_encoding=PositionEmbeddingSine(num_pos_feats=config.fpn_hidden_size, normalize=True),
            d_model=config.fpn_hidden_size,
            backbone_channel_list=list(config.backbone_channel_list),
            fpn_top_down_levels=list(config.fpn_top_down_levels),
            fpn_interp_model="nearest",
        ),
    )


def _memory_attention(config: Any) -> Any:
    from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
    from sam2.modeling.sam.transformer import RoPEAttention

    width, grid = config.memory_attention_hidden_size, config.image_size // 16
    shared = {"embedding_dim": width, "num_heads": 1, "downsample_rate": 1, "feat_sizes": [grid, grid]}
    layer = MemoryAttentionLayer(
        activation="relu",
        dim_feedforward=config.memory_attention_feed_forward_hidden_size,
        dropout=0.1,
        pos_enc_at_attn=False,
        self_attention=RoPEAttention(**shared),
        d_model=width,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        cross_attention=RoPEAttention(**shared, rope_k_repeat=True, kv_in_dim=config.memory_encoder_output_channels),
    )
    return MemoryAttention(
        d_model=width, pos_enc_at_input=True, layer=layer, num_layers=config.memory_attention_num_layers
    )


def _memory_encoder(config: Any) -> Any:
    from sam2.modeling.memory_encoder import CXBlock, Fuser, MaskDownSampler, MemoryEncoder
    from sam2.modeling.position_encoding import PositionEmbeddingSine

    width, inner = config.memory_fuser_embed_dim, config.memory_fuser_intermediate_dim
    block = CXBlock(dim=width)
    block.pwconv1, block.pwconv2 = torch.nn.Linear(width, inner), torch.nn.Linear(inner, width)
    return MemoryEncoder(
        out_dim=config.memory_encoder_output_channels,
        in_dim=config.memory_encoder_hidden_size,
        position_encoding=PositionEmbeddingSine(num_pos_feats=config.memory_encoder_output_channels, normalize=True),
        mask_downsampler=MaskDownSampler(
            embed_dim=config.mask_downsampler_embed_dim, kernel_size=3, stride=2, padding=1
        ),
        fuser=Fuser(block, num_layers=config.memory_fuser_num_layers),
    )


def _mask_decoder(config: Any) -> Any:
    from sam2.modeling.sam.mask_decoder import MaskDecoder
    from sam2.modeling.sam.transformer import TwoWayTransformer

    decoder = config.mask_decoder_config
    width = decoder.hidden_size
    return MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(
            depth=decoder.num_hidden_layers,
            embedding_dim=width,
            mlp_dim=decoder.mlp_dim,
            num_heads=decoder.num_attention_heads,
        ),
        transformer_dim=width,
        iou_head_depth=3,
        iou_head_hidden_dim=decoder.iou_head_hidden_dim,
        use_high_res_features=True,
        iou_prediction_use_sigmoid=True,
        pred_obj_scores=True,
        pred_obj_scores_mlp=True,
        use_multimask_token_for_obj_ptr=True,
        dynamic_multimask_via_stability=decoder.dynamic_multimask_via_stability,
        dynamic_multimask_stability_delta=decoder.dynamic_multimask_stability_delta,
        dynamic_multimask_stability_thresh=decoder.dynamic_multimask_stability_thresh,
    )
