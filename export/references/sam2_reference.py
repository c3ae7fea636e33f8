"""References of the stages of SAM 2, by transformers' own modules, object by object, on the inputs of a graph.

transformers runs one object at a time, so the comparison covers batching, flags and layout of the graphs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from masklet.export.family import Feeds
from masklet.runtime.bundle.spec import Tensor
from transformers.models.sam2_video.modeling_sam2_video import get_1d_sine_pe

Reference = Callable[[Feeds], dict[str, Tensor]]
CLEAR = 1e-3  # minimum distance of scores from a threshold, so that rounding cannot cross it


def image_encoder(model: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> Reference:
    """Normalise as transformers' image processor does, then its vision encoder and the decoder's conv_s0, conv_s1."""

    def run(feeds: Feeds) -> dict[str, Tensor]:
        pixels = torch.from_numpy(feeds["image"]).permute(0, 3, 1, 2).float() / 255
        pixels = (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        with torch.inference_mode():
            levels = model.get_image_features(pixels, return_dict=True).fpn_hidden_states
        names = ("feat_s0", "feat_s1", "vision_feat")[-len(levels) :]
        maps = zip(names, levels, model.backbone_feature_sizes, strict=True)
        return {name: level.permute(1, 2, 0).unflatten(2, tuple(size)).numpy() for name, level, size in maps}

    return run


def memory_attention(model: Any, neck: Any) -> Reference:
    """Memories, then pointers split into tokens, as `_prepare_memory_conditioned_features` joins them."""

    def one(vision: torch.Tensor, feeds: Feeds, index: int) -> torch.Tensor:
        memory, (rows, columns) = torch.from_numpy(feeds["memory"][index]), vision.shape[-2:]
        place = sine(model.memory_encoder, model.mem_dim, rows, columns)
        times = feeds["memory_time"][index]
        where = [place + model.memory_temporal_positional_encoding[row] for row in times.tolist()]
        tokens, when = pointer_tokens(model, feeds, index)
        attended: torch.Tensor = model.memory_attention(
            current_vision_features=vision.flatten(2).permute(2, 0, 1),
            current_vision_position_embeddings=sine(neck, model.hidden_dim, rows, columns),
            memory=torch.cat([memory.flatten(0, 1)[:, None], tokens]),
            memory_posision_embeddings=torch.cat([*where, when]),
            num_object_pointer_tokens=len(tokens),
        )
        return attended.squeeze(1).transpose(1, 2).reshape(vision.shape)

    def run(feeds: Feeds) -> dict[str, Tensor]:
        vision = torch.from_numpy(feeds["vision_feat"])
        with torch.inference_mode():
            embeds = [one(vision, feeds, index) for index in range(len(feeds["memory"]))]
        return {"image_embed": torch.cat(embeds).numpy()}

    return run


def pointer_tokens(model: Any, feeds: Feeds, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """An object's pointers split into tokens, and their encoded distances in time: both [tokens, 1, 64]."""
    pointers = torch.from_numpy(feeds["pointers"][index])
    splits = model.hidden_dim // model.mem_dim
    when = torch.zeros(len(pointers), model.mem_dim)
    if "pointer_time" in feeds:
        encoded = get_1d_sine_pe(torch.from_numpy(feeds["pointer_time"][index]), dim=model.hidden_dim)
        when = model.temporal_positional_encoding_projection_layer(encoded)
    tokens = pointers.reshape(len(pointers) * splits, model.mem_dim)[:, None]
    return tokens, when.repeat_interleave(splits, dim=0)[:, None]


def mask_decoder(model: Any) -> Reference:
    """`_single_frame_forward` for the chosen outputs, the decoder itself for the candidates."""

    def one(feeds: Feeds, index: int) -> dict[str, torch.Tensor]:
        given = {
            name: torch.from_numpy(feed[index : index + 1]) for name, feed in feeds.items() if "feat_s" not in name
        }
        image = given["image_embed"]
        if feeds["memoryless"][index]:
            image = image + model.no_memory_embedding.reshape(1, -1, 1, 1)
        # The reference appends the padding point by itself.
        points, labels = on_square(model, given["point_coords"][:, None, :-1]), given["point_labels"][:, None, :-1]
        mask = given["mask_prompt"] if feeds["has_mask"][index] else None
        fine = [torch.from_numpy(feeds[name]) for name in ("feat_s0", "feat_s1") if name in feeds]
        many = bool(feeds["multimask"][index])
        out = model._single_frame_forward(
            input_points=points,
            input_labels=labels,
            input_masks=mask,
            image_embeddings=[*fine, image],
            multimask_output=many,
        )
        sparse, dense = model.prompt_encoder(points, labels, None, mask)
        masks, ious, tokens = candidates(model, image, fine, sparse, dense)
        return {
            "low_res_mask": out.pred_masks.reshape(1, 1, *masks.shape[-2:]),
            "iou": out.iou_scores.reshape(1, -1).max(dim=1, keepdim=True).values,
            "object_score": out.object_score_logits.reshape(1, 1),
            "pointer": out.object_pointer.reshape(1, -1),
            "candidate_masks": masks,
            "candidate_ious": ious,
            "candidate_pointers": model.object_pointer_proj(tokens),
        }

    def run(feeds: Feeds, candidate_pointers: bool = False) -> dict[str, Tensor]:
        with torch.inference_mode():
            objects = [one(feeds, index) for index in range(len(feeds["image_embed"]))]
        names = [name for name in objects[0] if candidate_pointers or name != "candidate_pointers"]
        return {name: torch.cat([o[name] for o in objects]).numpy() for name in names}

    return run


def image_mask_decoder(model: Any) -> Reference:
    """The decoder for the candidates, on the features of an image to which the embedding of no memory is added."""

    def one(feeds: Feeds, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        given = {name: torch.from_numpy(feed) for name, feed in feeds.items()}
        image = given["vision_feat"] + model.no_memory_embedding.reshape(1, -1, 1, 1)
        # The reference appends the padding point by itself.
        points, labels = (given[name][index : index + 1, None, :-1] for name in ("point_coords", "point_labels"))
        mask = given["mask_prompt"][index : index + 1] if feeds["has_mask"][index] else None
        sparse, dense = model.prompt_encoder(points, labels, None, mask)
        masks, ious, _ = candidates(model, image, [given["feat_s0"], given["feat_s1"]], sparse, dense)
        return masks, ious

    def run(feeds: Feeds) -> dict[str, Tensor]:
        with torch.inference_mode():
            masks, ious = zip(*(one(feeds, index) for index in range(len(feeds["has_mask"]))), strict=True)
        return {"candidate_masks": torch.cat(masks).numpy(), "candidate_ious": torch.cat(ious).numpy()}

    return run


def on_square(model: Any, points: torch.Tensor) -> torch.Tensor:
    """Points of a frame as on the square of its width, which transformers' prompt encoder divides by.

    points: [..., 2], x and y in pixels of the frame.
    """
    rows, columns = model.prompt_encoder.image_embedding_size
    if rows == columns:
        return points
    return torch.stack([points[..., 0], (points[..., 1] + 0.5) * (columns / rows) - 0.5], dim=-1)


def candidates(model: Any, image: Any, fine: Any, sparse: Any, dense: Any) -> tuple[torch.Tensor, ...]:
    """All masks of one object, their predicted IoUs and tokens; the single mask first, without its fallback."""
    decoder = model.mask_decoder
    given = {
        "image_embeddings": image,
        "image_positional_embeddings": model.get_image_wide_positional_embeddings(),
        "sparse_prompt_embeddings": sparse,
        "dense_prompt_embeddings": dense,
        "high_resolution_features": fine,
    }
    fallback = decoder.dynamic_multimask_via_stability
    decoder.dynamic_multimask_via_stability = False
    try:
        single = decoder(multimask_output=False, **given)
    finally:
        decoder.dynamic_multimask_via_stability = fallback
    several = decoder(multimask_output=True, **given)
    masks, ious, tokens = (torch.cat([one, more], dim=2)[:, 0] for one, more in zip(single[:3], several, strict=False))
    return masks, ious, tokens


def decoder_decided(model: Any) -> Callable[[Feeds], bool]:
    """Whether object presence, the best of three masks and the stability of the single mask are clear of thresholds."""
    config = model.config.mask_decoder_config
    delta, threshold = config.dynamic_multimask_stability_delta, config.dynamic_multimask_stability_thresh

    def decided(outputs: Feeds) -> bool:
        single = outputs["candidate_masks"][:, 0]
        inner, outer = ((single > edge).sum(axis=(1, 2)) for edge in (delta, -delta))
        stability = inner / np.maximum(outer, 1)
        first, second = np.sort(outputs["candidate_ious"][:, 1:], axis=1)[:, ::-1][:, :2].T
        margins = (np.abs(outputs["object_score"]).min(), np.abs(stability - threshold).min(), (first - second).min())
        return bool(min(margins) > CLEAR)

    return decided


def memory_encoder(model: Any) -> Reference:
    """`_encode_new_memory` up to its rounding to bfloat16, from the mask at the resolution that it is encoded in."""
    config = model.config
    size = tuple(4 * edge for edge in model.prompt_encoder.mask_input_size)

    def one(vision: torch.Tensor, feeds: Feeds, index: int) -> torch.Tensor:
        low = torch.from_numpy(feeds["low_res_mask"][index : index + 1])
        logits = F.interpolate(low, size=size, mode="bilinear", align_corners=False)
        mask = (logits > 0).float() if feeds["binarize"][index] else torch.sigmoid(logits)
        mask = mask * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        memory: torch.Tensor = model.memory_encoder(vision, mask)[0]
        if "object_score" in feeds and feeds["object_score"][index] <= 0:
            memory = memory + model.occlusion_spatial_embedding_parameter[..., None, None]
        return memory.flatten(2).transpose(1, 2)

    def run(feeds: Feeds) -> dict[str, Tensor]:
        vision = torch.from_numpy(feeds["vision_feat"])
        with torch.inference_mode():
            memories = [one(vision, feeds, index) for index in range(len(feeds["low_res_mask"]))]
        return {"new_memory": torch.cat(memories).numpy()}

    return run


def mask_prompt_encoder(model: Any) -> Reference:
    """The learned downsampling of the mask, and its logits as `_use_mask_as_output` returns them."""

    def run(feeds: Feeds) -> dict[str, Tensor]:
        mask = torch.from_numpy(feeds["mask"]).float()[:, None]
        size = model.prompt_encoder.mask_input_size
        with torch.inference_mode():
            prompt = model.mask_downsample(mask)
            low = F.interpolate(mask * 20.0 - 10.0, size=size, mode="bilinear", align_corners=False, antialias=True)
        return {"mask_prompt": prompt.numpy(), "low_res_mask": low.numpy()}

    return run


def draw_image(rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    """A smooth image with some noise; pure noise has features unlike those of real images."""
    coarse = torch.from_numpy(rng.uniform(-40, 295, (1, 3, 12, 12)))
    smooth = F.interpolate(coarse, size=shape[1:3], mode="bicubic").permute(0, 2, 3, 1).numpy()
    return np.clip(smooth + rng.normal(0, 8, shape), 0, 255).astype(np.uint8)


def draw_logits(rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    """Mask logits of a few blobs, between about -20 and 20."""
    coarse = torch.from_numpy(rng.normal(0, 8, (*shape[:2], 6, 6)))
    logits: Tensor = F.interpolate(coarse, size=shape[2:], mode="bicubic").numpy().astype(np.float32)
    return logits


def draw_mask(rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    """Masks of a few blobs, 0 and 1."""
    blobs = draw_logits(rng, (shape[0], 1, *shape[1:]))[:, 0] > 0
    return blobs.astype(np.uint8)


def sine(owner: Any, width: int, rows: int, columns: int) -> torch.Tensor:
    """The sine position encoding of a module, [rows * columns, 1, width]."""
    table = owner.position_encoding(torch.Size((1, width, rows, columns)), torch.device("cpu"), torch.float32)
    encoding: torch.Tensor = table.flatten(2).permute(2, 0, 1)
    return encoding
