"""What each stage of SAM 2 computes in Meta's own modules, on the feeds of a graph, object by object.

predictor, wherever it is given: Meta's SAM2Base or a class made from it.
"""

from typing import Any

import torch
from masklet.export.family import Feeds
from masklet.runtime.bundle.spec import Tensor

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def run_stage(predictor: Any, stage: str, feeds: Feeds) -> dict[str, Tensor]:
    """The outputs of a stage by name; those that Meta's code has."""
    given = {name: torch.from_numpy(feed) for name, feed in feeds.items()}
    with torch.inference_mode():
        found: dict[str, torch.Tensor] = STAGES[stage](predictor, given)
    return {name: tensor.numpy() for name, tensor in found.items()}


def _image_encoder(predictor: Any, feeds: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    pixels = ((feeds["image"] / 255 - MEAN) / STD).permute(0, 3, 1, 2)
    levels = predictor.forward_image(pixels)["backbone_fpn"]
    return dict(zip(("feat_s0", "feat_s1", "vision_feat")[-len(levels) :], levels, strict=True))


def _memory_attention(predictor: Any, feeds: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    get_1d_sine_pe = predictor._prepare_memory_conditioned_features.__globals__["get_1d_sine_pe"]
    vision = feeds["vision_feat"]
    where = predictor.memory_encoder.position_encoding(torch.zeros(1, predictor.mem_dim, *vision.shape[2:]))
    counted = {}
    if (perceiver := getattr(predictor, "spatial_perceiver", None)) is not None:
        where = perceiver(torch.zeros_like(where), where)[1].permute(1, 0, 2)
        counted = {"num_spatial_mem": feeds["memory"].shape[1]}
    else:
        where = where.flatten(2).permute(2, 0, 1)
    splits, embeds = predictor.hidden_dim // predictor.mem_dim, []
    for index, (memory, pointers) in enumerate(zip(feeds["memory"], feeds["pointers"], strict=True)):
        rows = feeds["memory_time"][index].tolist()
        when = torch.zeros(len(pointers), predictor.mem_dim)
        if "pointer_time" in feeds:
            when = predictor.obj_ptr_tpos_proj(get_1d_sine_pe(feeds["pointer_time"][index], dim=predictor.hidden_dim))
        tokens = pointers.reshape(-1, 1, predictor.mem_dim)
        attended = predictor.memory_attention(
            curr=vision.flatten(2).permute(2, 0, 1),
            curr_pos=predictor.image_encoder.neck.position_encoding(vision).flatten(2).permute(2, 0, 1),
            memory=torch.cat([memory.flatten(0, 1)[:, None], tokens]),
            memory_pos=torch.cat(
                [*(where + predictor.maskmem_tpos_enc[row] for row in rows), when.repeat_interleave(splits, 0)[:, None]]
            ),
            num_obj_ptr_tokens=len(tokens),
            **counted,
        )
        embeds.append(attended.permute(1, 2, 0).reshape(vision.shape))
    return {"image_embed": torch.cat(embeds)}


def _mask_decoder(predictor: Any, feeds: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    fine = [feeds["feat_s0"], feeds["feat_s1"]] if "feat_s0" in feeds else None
    found: dict[str, list[torch.Tensor]] = {}
    for index, image in enumerate(feeds["image_embed"][:, None]):
        if feeds["memoryless"][index]:
            image = image + predictor.no_mem_embed.reshape(1, -1, 1, 1)
        # The last point of a graph's feeds is the padding that Meta's prompt encoder appends by itself.
        points = {
            "point_coords": feeds["point_coords"][index : index + 1, :-1],
            "point_labels": feeds["point_labels"][index : index + 1, :-1].int(),
        }
        mask = feeds["mask_prompt"][index : index + 1] if feeds["has_mask"][index] else None
        *_, low, _, pointer, score = predictor._forward_sam_heads(
            backbone_features=image,
            point_inputs=points,
            mask_inputs=mask,
            high_res_features=fine,
            multimask_output=bool(feeds["multimask"][index]),
        )
        for name, tensor in (("low_res_mask", low), ("pointer", pointer), ("object_score", score)):
            found.setdefault(name, []).append(tensor)
    return {name: torch.cat(tensors) for name, tensors in found.items()}


def _memory_encoder(predictor: Any, feeds: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    vision, memories = feeds["vision_feat"], []
    features, size = vision.flatten(2).permute(2, 0, 1), vision.shape[2:]
    for index, low in enumerate(feeds["low_res_mask"][:, None]):
        score = feeds["object_score"][index : index + 1] if "object_score" in feeds else torch.ones(1, 1)
        side = (predictor.image_size, predictor.image_size)
        masks = torch.nn.functional.interpolate(low, size=side, mode="bilinear", align_corners=False)
        scored = {"object_score_logits": score} if hasattr(predictor, "no_obj_embed_spatial") else {}
        hard = bool(feeds["binarize"][index])
        memory, _ = predictor._encode_new_memory([features], [size], masks, is_mask_from_pts=hard, **scored)
        memories.append(memory if memory.ndim == 3 else memory.flatten(2).transpose(1, 2))  # latents, or a map
    return {"new_memory": torch.cat(memories)}


def _mask_prompt_encoder(predictor: Any, feeds: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    mask = feeds["mask"].float()[:, None]
    edge = predictor.image_size // 16
    blank = [torch.zeros(1, predictor.hidden_dim // part, size, size) for part, size in ((8, 4 * edge), (4, 2 * edge))]
    vision = torch.zeros(1, predictor.hidden_dim, edge, edge)
    low = [predictor._use_mask_as_output(vision, blank, each[None])[0] for each in mask]
    return {"mask_prompt": predictor.mask_downsample(mask), "low_res_mask": torch.cat(low)}


STAGES = {
    "image_encoder": _image_encoder,
    "memory_attention": _memory_attention,
    "mask_decoder": _mask_decoder,
    "memory_encoder": _memory_encoder,
    "mask_prompt_encoder": _mask_prompt_encoder,
}
