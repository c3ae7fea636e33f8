"""EfficientTAM's own code (efficient-track-anything on PyPI) with the weights of a model of whatever dimensions.

The package is of December 2024; the repository's predictor has since become SAM 2's newer one, on the same model.
"""

import warnings
from typing import Any

import torch
from apart import EFFICIENTTAM
from meta_sam2 import attention, flags, mask_decoder, memory_attention, memory_encoder, sine
from weights_files import their_weights

NEWER = ("no_obj_embed_spatial", "use_signed_tpos_enc_to_obj_ptrs")  # than this predictor


def meta_efficienttam(model: Any, **options: Any) -> Any:
    """EfficientTAM's predictor with the weights of an EfficientTamModel. options: of its constructor."""
    config = model.config
    base: Any = EFFICIENTTAM("sam2_video_predictor").SAM2VideoPredictor
    given = {name: value for name, value in flags(config).items() if name not in NEWER}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predictor = type("Predictor", (_Boxes, base), {})(
            image_encoder=_image_encoder(config.vision_config),
            memory_attention=_memory_attention(config),
            memory_encoder=memory_encoder(EFFICIENTTAM, config),
            **{**given, "use_high_res_features_in_sam": False},
            **options,
        )
    predictor.sam_mask_decoder = mask_decoder(EFFICIENTTAM, config, fine=False)
    predictor.load_state_dict(their_weights("efficienttam", model))
    return predictor.eval()


class _Boxes:
    """What SAM 2's newer predictor makes of a box: two points before the others."""

    add_new_points: Any

    def add_new_points_or_box(
        self, state: Any, frame: int, object_id: int, *, points: Any = None, labels: Any = None, box: Any = None
    ) -> Any:
        xy = torch.tensor([] if points is None else points, dtype=torch.float32).reshape(-1, 2)
        kinds = torch.tensor([] if labels is None else labels, dtype=torch.int32)
        if box is not None:
            xy = torch.cat([torch.tensor(box, dtype=torch.float32).reshape(2, 2), xy])
            kinds = torch.cat([torch.tensor([2, 3], dtype=torch.int32), kinds])
        return self.add_new_points(state, frame, object_id, xy, kinds)


def _image_encoder(config: Any) -> Any:
    encoder = EFFICIENTTAM("modeling.backbones.image_encoder")
    blocks, patch = range(config.num_hidden_layers), config.patch_size
    trunk = EFFICIENTTAM("modeling.backbones.vitdet").ViT(
        img_size=config.image_size,
        patch_size=patch,
        embed_dim=config.hidden_size,
        depth=len(blocks),
        num_heads=config.num_attention_heads,
        window_size=config.window_size,
        window_block_indexes=[index for index in blocks if index not in config.global_attn_indexes],
        pretrain_img_size=config.pretrain_grid * patch,
    )
    neck = encoder.ViTDetNeck(
        position_encoding=sine(EFFICIENTTAM, config.output_channels),
        d_model=config.output_channels,
        backbone_channel_list=[config.hidden_size],
        neck_norm="LN",
    )
    return encoder.ImageEncoder(trunk=trunk, neck=neck)


def _memory_attention(config: Any) -> Any:
    kinds, grid = EFFICIENTTAM("modeling.sam.transformer"), config.image_size // 16
    shared = {**attention(config), "feat_sizes": [grid, grid]}
    to_memory = getattr(kinds, config.memory_cross_attention)(
        **shared, rope_k_repeat=True, kv_in_dim=config.memory_encoder_output_channels
    )
    among = kinds.RoPEAttention(**shared)
    return memory_attention(EFFICIENTTAM, config, config.memory_attention_feed_forward_hidden_size, among, to_memory)
