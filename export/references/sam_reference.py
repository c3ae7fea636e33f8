"""References of the stages of SAM and SAM-HQ, by transformers' own modules, on the inputs of a graph."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from masklet.export.family import Feeds
from masklet.export.references.sam2_reference import Reference
from masklet.runtime.bundle.spec import Tensor


def image_encoder(model: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> Reference:
    """Normalise, then pad with zeros as transformers' image processor does, then the vision encoder."""

    def run(feeds: Feeds) -> dict[str, Tensor]:
        height, width = feeds["content_hw"].tolist()
        pixels = torch.from_numpy(feeds["image"]).permute(0, 3, 1, 2).float() / 255
        pixels = (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        padded = torch.zeros_like(pixels)
        padded[:, :, :height, :width] = pixels[:, :, :height, :width]
        with torch.inference_mode():
            found = model.vision_encoder(padded, return_dict=True)
            outputs = {"vision_feat": found.last_hidden_state.numpy()}
            if hasattr(model.mask_decoder, "hq_token"):
                outputs["hq_feat"] = _fine(model.mask_decoder, found).numpy()
        return outputs

    return run


def _fine(decoder: Any, found: Any) -> torch.Tensor:
    """hq_features, as SamHQMaskDecoder.forward begins."""
    embedded = decoder.activation(decoder.encoder_norm(decoder.encoder_conv1(found.last_hidden_state)))
    early = found.intermediate_embeddings[0].permute(0, 3, 1, 2).contiguous()
    compressed = decoder.activation(decoder.compress_vit_norm(decoder.compress_vit_conv1(early)))
    fine: torch.Tensor = decoder.encoder_conv2(embedded) + decoder.compress_vit_conv2(compressed)
    return fine


def mask_decoder(model: Any) -> Reference:
    """The prompt encoder and the mask decoder, prompt by prompt, with and without several masks.

    SAM-HQ's decoder computes its fine features itself, from the encoder's maps; here they are taken from the inputs.
    """

    def one(feeds: Feeds, index: int) -> dict[str, torch.Tensor]:
        coords, labels, mask = (
            torch.tensor(feeds[name][index : index + 1]) for name in ("point_coords", "point_labels", "mask_prompt")
        )
        sparse = _sparse(model.prompt_encoder, coords, labels)
        given = mask if feeds["has_mask"][index] else None
        _, dense = model.prompt_encoder(coords[:, None], labels[:, None], None, given)
        call = {
            "image_embeddings": torch.from_numpy(feeds["vision_feat"]),
            "image_positional_embeddings": model.get_image_wide_positional_embeddings(),
            "sparse_prompt_embeddings": sparse,
            "dense_prompt_embeddings": dense,
        }
        run = _plain if "hq_feat" not in feeds else _with_fine(torch.from_numpy(feeds["hq_feat"]))
        masks, ious = run(model.mask_decoder, call)
        return {"candidate_masks": masks, "candidate_ious": ious}

    def run(feeds: Feeds) -> dict[str, Tensor]:
        with torch.inference_mode():
            objects = [one(feeds, index) for index in range(len(feeds["point_coords"]))]
        return {name: torch.cat([o[name] for o in objects]).numpy() for name in objects[0]}

    return run


def _sparse(encoder: Any, coords: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Clicks with their padding point by `_embed_points`, corners by `_embed_boxes`, in the order of the inputs."""
    rows = []
    for place, label in zip(coords[0], labels[0].tolist(), strict=True):
        if label < 2:
            rows.append(encoder._embed_points(place[None, None, None], torch.tensor([[[label]]]), pad=False)[0, 0])
        else:
            corners = torch.cat([place, place])[None, None]
            rows.append(encoder._embed_boxes(corners)[0, 0, label - 2][None])
    return torch.cat(rows)[None, None]


def _plain(decoder: Any, call: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    parts = [decoder(**call, multimask_output=many) for many in (False, True)]
    return torch.cat([p[0] for p in parts], dim=2)[:, 0], torch.cat([p[1] for p in parts], dim=2)[:, 0]


def _with_fine(fine: torch.Tensor) -> Callable[[Any, dict[str, Any]], tuple[torch.Tensor, torch.Tensor]]:
    """Run SAM-HQ's decoder with given fine features; its sorting of the three masks by IoU is undone.

    transformers ignores the cells that its transformer returns and upscales the embedding from before it, with rows
    and columns exchanged; SAM-HQ itself upscales the cells (mask_decoder_hq.py, predict_masks), as does masklet.
    """

    def run(decoder: Any, call: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        cells: list[torch.Tensor] = []
        raw: list[torch.Tensor] = []
        side = call["image_embeddings"].shape[-1]
        hooks = (
            decoder.encoder_conv2.register_forward_hook(lambda module, args, output: fine),
            decoder.transformer.register_forward_hook(lambda module, args, output: cells.append(output[1])),
            decoder.upscale_conv1.register_forward_pre_hook(
                lambda module, args: (torch.unflatten(cells[-1].transpose(2, 3), 3, (side, side))[0],)
            ),
            decoder.iou_prediction_head.register_forward_hook(lambda module, args, output: raw.append(output)),
        )
        try:
            parts = [decoder(**call, multimask_output=many, hq_token_only=False) for many in (False, True)]
        finally:
            for hook in hooks:
                hook.remove()
        order = raw[-1].flatten()[1:].argsort(descending=True).argsort()
        masks, ious = parts[1][0][:, 0, order], parts[1][1][:, 0, order]
        return torch.cat([parts[0][0][:, 0], masks], dim=1), torch.cat([parts[0][1][:, 0], ious], dim=1)

    return run


def draw_content(side: int) -> Any:
    """Draw the part of the square that an image covers: the whole of one axis, at least half of the other."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
        covered = np.array([side, rng.integers(side // 2, side + 1)])
        return rng.permutation(covered)

    return draw
