"""References of EdgeTAM's memory stages, by transformers' modules; other stages use those of SAM 2 (sam2_reference)."""

from typing import Any

import torch
import torch.nn.functional as F
from masklet.export.family import Feeds
from masklet.export.references.sam2_reference import Reference
from masklet.runtime.bundle.spec import Tensor


def memory_attention(model: Any) -> Reference:
    """`_build_memory_attention_inputs` and `_process_object_pointers`, joined as transformers does."""

    def one(vision: torch.Tensor, feeds: Feeds, index: int) -> torch.Tensor:
        memory, pointers = (torch.tensor(feeds[name][index]) for name in ("memory", "pointers"))
        places = _places(model, memory)
        kept = [
            (int(row) + 1, {"maskmem_features": tokens[None], "maskmem_pos_enc": places})
            for row, tokens in zip(feeds["memory_time"][index], memory, strict=True)
        ]
        features, positions = model._build_memory_attention_inputs(kept, memory.device)
        splits = model.hidden_dim // model.mem_dim
        when = torch.zeros(len(pointers), model.mem_dim)
        if "pointer_time" in feeds:
            sine = _time(torch.tensor(feeds["pointer_time"][index]), model.hidden_dim)
            when = model.temporal_positional_encoding_projection_layer(sine)
        tokens = pointers.reshape(len(pointers) * splits, 1, model.mem_dim)
        neck = model.vision_encoder.neck
        shape = torch.Size((1, model.hidden_dim, *vision.shape[-2:]))
        attended: torch.Tensor = model.memory_attention(
            current_vision_features=vision.flatten(2).permute(2, 0, 1),
            current_vision_position_embeddings=neck.position_encoding(shape, vision.device, vision.dtype)
            .flatten(2)
            .permute(2, 0, 1),
            memory=torch.cat([*features, tokens]),
            memory_posision_embeddings=torch.cat([*positions, when.repeat_interleave(splits, dim=0)[:, None]]),
            num_object_pointer_tokens=len(tokens),
            num_spatial_memory_tokens=len(memory),
        )
        return attended.squeeze(1).transpose(1, 2).reshape(vision.shape)

    def run(feeds: Feeds) -> dict[str, Tensor]:
        vision = torch.tensor(feeds["vision_feat"])
        with torch.inference_mode():
            embeds = [one(vision, feeds, index) for index in range(len(feeds["memory"]))]
        return {"image_embed": torch.cat(embeds).numpy()}

    return run


def _places(model: Any, memory: torch.Tensor) -> torch.Tensor:
    """The positions that the perceiver returns with its latents, [1, latents, 64]; its input does not matter."""
    grid = model.config.memory_attention_rope_feat_sizes[0]
    blank = torch.zeros(1, memory.shape[-1], grid, grid)
    places: torch.Tensor = model.spatial_perceiver(blank, blank)[1]
    return places


def _time(offsets: torch.Tensor, width: int) -> torch.Tensor:
    """get_1d_sine_pe of modeling_edgetam_video.py, which has it under a name of its own in every version."""
    from transformers.models.edgetam_video.modeling_edgetam_video import get_1d_sine_pe

    encoding: torch.Tensor = get_1d_sine_pe(offsets, dim=width)
    return encoding


def memory_encoder(model: Any) -> Reference:
    """`_encode_new_memory`, from the mask at full resolution."""

    def one(vision: torch.Tensor, feeds: Feeds, index: int) -> torch.Tensor:
        low = torch.tensor(feeds["low_res_mask"][index : index + 1])
        logits = F.interpolate(low, size=(model.image_size,) * 2, mode="bilinear", align_corners=False)
        # Without an embedding for hidden objects, as published, the score plays no part.
        score = torch.tensor(feeds["object_score"][index : index + 1]) if "object_score" in feeds else torch.ones(1, 1)
        features = vision.flatten(2).permute(2, 0, 1)
        memory: torch.Tensor = model._encode_new_memory(features, logits, score, bool(feeds["binarize"][index]))[0]
        return memory

    def run(feeds: Feeds) -> dict[str, Tensor]:
        vision = torch.tensor(feeds["vision_feat"])
        with torch.inference_mode():
            memories = [one(vision, feeds, index) for index in range(len(feeds["low_res_mask"]))]
        return {"new_memory": torch.cat(memories).numpy()}

    return run
