"""EdgeTAM: a SAM 2 for phones, with RepViT instead of Hiera and memories of a few hundred latents.

Everything not defined here is that of SAM 2.
"""

import importlib
import math
from collections.abc import Callable, Iterator
from typing import Any

from masklet.export.checkpoints.pretrained import Source, configuration, load_weights
from masklet.export.families import sam2
from masklet.export.family import Case, ExportStage, ImageSize, refuse_token_memory, square
from masklet.export.modules.perceiver import LatentMemoryAttention, LatentMemoryEncoder
from masklet.export.modules.repvit import RepViTEncoder
from masklet.export.references import edgetam_reference, sam2_reference
from masklet.runtime.bundle.spec import ModelSpec, StageSpec
from masklet.runtime.errors import ExportError
from transformers import EdgeTamVideoConfig, EdgeTamVideoModel


class EdgeTam:
    """The family of EdgeTAM."""

    name = "edgetam"
    model_types: tuple[str, ...] = ("edgetam_video", "edgetam")

    def load(self, source: Source, image_size: ImageSize | None) -> Any:
        """Load a checkpoint for square frames of image_size pixels; None for its own size."""
        require_timm()
        config = configuration(EdgeTamVideoConfig, source)
        resize(config, square(image_size or int(config.image_size), self.name), source)
        return load_weights(EdgeTamVideoModel, config, source, twins=sam2.FOURIER)

    def spec(self, model: Any, token_memory: bool = False) -> ModelSpec:
        """Declare the model."""
        refuse_token_memory(token_memory, self.name, "keeps a few hundred latents of each frame already")
        backbone = str(getattr(model.config.vision_config.backbone_config, "architecture", "custom"))
        return sam2.describe(self.name, backbone.partition(".")[0].replace("_", "-"), model.config, declare(model))

    def stages(self, model: Any, token_memory: bool = False) -> Iterator[ExportStage]:
        """Build the graph module and the reference of each stage."""
        for spec in declare(model):
            yield BUILDERS[spec.name](spec, model)


FAMILY = EdgeTam()


def require_timm() -> None:
    """Raise ExportError if timm, which has the backbone, cannot be imported; it needs torchvision."""
    try:
        importlib.import_module("timm")
    except (ImportError, RuntimeError) as error:
        raise ExportError(
            f"exporting EdgeTAM needs timm and torchvision ({error}); install them with: pip install timm torchvision"
        ) from None


def declare(model: Any) -> tuple[StageSpec, ...]:
    """The stages of SAM 2, with one token per perceiver latent in a memory."""
    perceiver = model.spatial_perceiver
    return sam2.declare(model.config, int(perceiver.num_latents_1d) + int(perceiver.num_latents_2d))


def resize(config: Any, side: int, source: Source) -> None:
    """Set the frame size throughout a configuration; no weight depends on it.

    Raises ExportError if the size does not fit the strides and windows, or the layout is not supported.
    """
    vision = config.vision_config
    latents = math.isqrt(int(config.perceiver_resampler_num_latents_2d))
    wanted = {
        "a backbone of timm": getattr(vision.backbone_config, "model_type", None) == "timm_wrapper",
        "a pyramid of 1x1 convolutions, three levels": vision.fpn_kernel_size == 1 and vision.num_feature_levels == 3,
        "fpn_top_down_levels of the two coarse levels": not {0, 1} & set(vision.fpn_top_down_levels),
        "latents of both kinds, one of them on a square": latents > 0
        and latents**2 == config.perceiver_resampler_num_latents_2d
        and config.perceiver_resampler_num_latents > 0
        and list(config.memory_attention_rope_k_sizes) == [latents, latents],
        f"memories {sam2.MEMORY_WIDTH} wide": config.memory_encoder_output_channels == sam2.MEMORY_WIDTH
        and config.perceiver_resampler_hidden_size == sam2.MEMORY_WIDTH,
    }
    failed = [text for text, holds in wanted.items() if not holds]
    if failed:
        raise ExportError(f"{source}: its configuration is not supported by the edgetam graphs; expected {failed[0]}")
    unit = sam2.STRIDE * latents
    if side < unit or side % unit:
        nearest = max(unit, round(side / unit) * unit)
        raise ExportError(f"{source}: image size {side} is not a multiple of {unit}; the nearest is {nearest}")
    config.image_size = config.prompt_encoder_config.image_size = side
    vision.backbone_feature_sizes = [[side // s, side // s] for s in (4, 8, sam2.STRIDE)]
    config.memory_attention_rope_feat_sizes = [side // sam2.STRIDE] * 2


def _image_encoder(spec: StageSpec, model: Any) -> ExportStage:
    return ExportStage(
        spec,
        RepViTEncoder(model, sam2.MEAN, sam2.STD),
        sam2_reference.image_encoder(model, sam2.MEAN, sam2.STD),
        cases=(Case("a smooth image"),),
        draws={"image": sam2_reference.draw_image},
    )


def _memory_attention(spec: StageSpec, model: Any) -> ExportStage:
    rows = int(model.config.num_maskmem)
    return ExportStage(
        spec,
        LatentMemoryAttention(model, model.vision_encoder.neck, sam2.grid_of(model)),
        edgetam_reference.memory_attention(model),
        cases=sam2.attention_cases(rows),
        draws=sam2.attention_draws(rows),
    )


def _memory_encoder(spec: StageSpec, model: Any) -> ExportStage:
    return ExportStage(
        spec,
        LatentMemoryEncoder(model, int(model.config.image_size)),
        edgetam_reference.memory_encoder(model),
        cases=sam2.memory_encoder_cases(),
        draws={"low_res_mask": sam2_reference.draw_logits},
        rounded=frozenset({"new_memory"}),
    )


BUILDERS: dict[str, Callable[[StageSpec, Any], ExportStage]] = {
    "image_encoder": _image_encoder,
    "memory_attention": _memory_attention,
    "mask_decoder": sam2.mask_decoder_stage,
    "memory_encoder": _memory_encoder,
    "mask_prompt_encoder": sam2.mask_prompt_encoder_stage,
}
