"""Meta's own EdgeTAM (edgetam-dimos on PyPI) with the weights of a model of transformers, of whatever dimensions."""

import warnings
from typing import Any

from apart import EDGETAM
from meta_sam2 import attention, flags, mask_decoder, memory_attention, memory_encoder, neck, sine
from torchvision_stub import import_timm
from weights_files import their_weights


def meta_edgetam(model: Any, **options: Any) -> Any:
    """EdgeTAM's SAM2VideoPredictor with the weights of an EdgeTamVideoModel. options: of its constructor."""
    config = model.config
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predictor = EDGETAM("sam2_video_predictor").SAM2VideoPredictor(
            image_encoder=EDGETAM("modeling.backbones.image_encoder").ImageEncoder(
                scalp=1, trunk=_trunk(config.vision_config), neck=neck(EDGETAM, config.vision_config)
            ),
            memory_attention=_memory_attention(config),
            memory_encoder=memory_encoder(EDGETAM, config),
            spatial_perceiver=_perceiver(config),
            **flags(config),
            **options,
        )
    predictor.sam_mask_decoder = mask_decoder(EDGETAM, config)
    predictor.load_state_dict(their_weights("edgetam", model))
    return predictor.eval()


def _trunk(config: Any) -> Any:
    """Meta's wrapper of timm's backbone, which would download weights for it."""
    import_timm()
    module: Any = EDGETAM("modeling.backbones.timm")
    create, arguments = module.create_model, config.backbone_config.model_args
    module.create_model = lambda name, pretrained, **given: create(name, pretrained=False, **{**given, **arguments})
    try:
        return module.TimmBackbone(config.backbone_config.architecture, ["layer0", "layer1", "layer2", "layer3"])
    finally:
        module.create_model = create


def _memory_attention(config: Any) -> Any:
    rotary, grid = EDGETAM("modeling.sam.transformer"), config.image_size // 16
    to_memory = rotary.RoPEAttentionv2(
        **attention(config),
        q_sizes=[grid, grid],
        k_sizes=list(config.memory_attention_rope_k_sizes),
        kv_in_dim=config.memory_encoder_output_channels,
    )
    among = rotary.RoPEAttention(**attention(config), feat_sizes=[grid, grid])
    return memory_attention(EDGETAM, config, config.memory_attention_mlp_hidden_size, among, to_memory)


def _perceiver(config: Any) -> Any:
    width = config.perceiver_resampler_hidden_size
    return EDGETAM("modeling.perceiver").PerceiverResampler(
        depth=config.perceiver_resampler_num_layers,
        dim=width,
        dim_head=config.perceiver_resampler_attention_head_dim,
        heads=config.perceiver_resampler_num_attention_heads,
        ff_mult=config.perceiver_resampler_mlp_intermediate_size // width,
        hidden_dropout_p=0.0,
        attention_dropout_p=0.0,
        pos_enc_at_key_value=True,
        concat_kv_latents=False,
        num_latents=config.perceiver_resampler_num_latents,
        num_latents_2d=config.perceiver_resampler_num_latents_2d,
        position_encoding=sine(EDGETAM, width),
        use_self_attn=True,
    )
