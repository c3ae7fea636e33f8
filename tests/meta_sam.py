"""Meta's own SAM and SAM-HQ's, of whatever dimensions, with the weights of a model of transformers."""

from functools import partial
from typing import Any

import torch
from apart import SAM, SAM_HQ
from weights_files import their_weights


def meta_sam(model: Any) -> Any:
    """The weights of a SamModel or SamHQModel in the classes of their authors."""
    hq = model.config.model_type == "sam_hq"
    parts, config = (SAM_HQ if hq else SAM)("modeling"), model.config
    vision, decoder = config.vision_config, config.mask_decoder_config
    width, grid = decoder.hidden_size, config.prompt_encoder_config.image_embedding_size
    sam = parts.Sam(
        image_encoder=parts.ImageEncoderViT(
            depth=vision.num_hidden_layers,
            embed_dim=vision.hidden_size,
            img_size=vision.image_size,
            mlp_ratio=vision.mlp_dim / vision.hidden_size,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            num_heads=vision.num_attention_heads,
            patch_size=vision.patch_size,
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=vision.global_attn_indexes,
            window_size=vision.window_size,
            out_chans=vision.output_channels,
        ),
        prompt_encoder=parts.PromptEncoder(
            embed_dim=width,
            image_embedding_size=(grid, grid),
            input_image_size=(vision.image_size, vision.image_size),
            mask_in_chans=16,
        ),
        mask_decoder=(parts.MaskDecoderHQ if hq else parts.MaskDecoder)(
            num_multimask_outputs=3,
            transformer=parts.TwoWayTransformer(
                depth=decoder.num_hidden_layers, embedding_dim=width, mlp_dim=decoder.mlp_dim, num_heads=8
            ),
            transformer_dim=width,
            iou_head_depth=3,
            iou_head_hidden_dim=decoder.iou_head_hidden_dim,
            **({"vit_dim": decoder.vit_dim} if hq else {}),
        ),
    )
    sam.load_state_dict(their_weights("sam-hq" if hq else "sam", model))
    return sam.eval()
