"""EfficientTAM: a SAM 2 with a plain ViT for its image encoder, and fewer tokens to attend to in some of its sizes.

Everything not defined here is that of SAM 2.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from masklet.export.checkpoints.pretrained import Source, configuration, load_weights
from masklet.export.families import sam2
from masklet.export.family import Case, ExportStage, ImageSize, refuse_token_memory, square
from masklet.export.modules.landmarks import CountedLandmarkAttention, ShiftedLandmarkAttention
from masklet.export.modules.plain_vit import PlainViTEncoder
from masklet.export.references import sam2_reference
from masklet.export.references.efficienttam_model import COUNTED, PLAIN, SHIFTED, EfficientTamConfig, EfficientTamModel
from masklet.runtime.bundle.spec import ModelSpec, StageSpec
from masklet.runtime.errors import ExportError

UNIT = 2 * sam2.STRIDE  # pixels of a landmark
SIZES = {192: "ti", 384: "s"}
SUFFIXES = {PLAIN: "", COUNTED: "-1", SHIFTED: "-2"}  # of the authors' file names
ATTENTION = {COUNTED: CountedLandmarkAttention, SHIFTED: ShiftedLandmarkAttention}


class EfficientTam:
    """The family of EfficientTAM."""

    name = "efficienttam"
    model_types: tuple[str, ...] = ("efficienttam",)

    def load(self, source: Source, image_size: ImageSize | None) -> Any:
        """Load a checkpoint for square frames of image_size pixels; None for its own size."""
        config = configuration(EfficientTamConfig, source)
        resize(config, square(image_size or int(config.image_size), self.name), source)
        return load_weights(EfficientTamModel, config, source, twins=sam2.FOURIER)

    def spec(self, model: Any, token_memory: bool = False) -> ModelSpec:
        """Declare the model."""
        refuse_token_memory(token_memory, self.name, "has no variants with memories of tokens")
        config = model.config
        size = SIZES.get(int(config.vision_config.hidden_size), "custom")
        return sam2.describe(self.name, size + SUFFIXES[config.memory_cross_attention], config, declare(config))

    def stages(self, model: Any, token_memory: bool = False) -> Iterator[ExportStage]:
        """Build the graph module and the reference of each stage."""
        for spec in declare(model.config):
            yield BUILDERS[spec.name](spec, model)


FAMILY = EfficientTam()


def declare(config: Any) -> tuple[StageSpec, ...]:
    """The stages of SAM 2, without the finer maps."""
    return sam2.declare(config, single_level=True)


def resize(config: Any, side: int, source: Source) -> None:
    """Set the frame size throughout a configuration; no weight depends on it.

    Raises ExportError if the size does not fit the cells, or the layout is not supported.
    """
    vision = config.vision_config
    wanted = {
        "patches of 16 x 16 pixels": vision.patch_size == sam2.STRIDE,
        "a last block that attends to the whole map": vision.num_hidden_layers - 1 in vision.global_attn_indexes,
        "position encodings, none of them relative": vision.use_abs_pos and not vision.use_rel_pos,
        f"memories {sam2.MEMORY_WIDTH} wide": config.memory_encoder_output_channels == sam2.MEMORY_WIDTH,
        f"memory_cross_attention of {', '.join(SUFFIXES)}": config.memory_cross_attention in SUFFIXES,
        "num_maskmem of 2 or more": config.num_maskmem >= 2,
    }
    failed = [text for text, holds in wanted.items() if not holds]
    if failed:
        raise ExportError(f"{source}: its configuration is not supported by its graphs; expected {failed[0]}")
    if side < UNIT or side % UNIT:
        nearest = max(UNIT, round(side / UNIT) * UNIT)
        raise ExportError(f"{source}: image size {side} is not a multiple of {UNIT}; the nearest is {nearest}")
    config.image_size = config.prompt_encoder_config.image_size = vision.image_size = side
    vision.backbone_feature_sizes = [[side // sam2.STRIDE] * 2]
    config.memory_attention_rope_feat_sizes = [side // sam2.STRIDE] * 2


def _image_encoder(spec: StageSpec, model: Any) -> ExportStage:
    return ExportStage(
        spec,
        PlainViTEncoder(model.vision_encoder, int(model.config.image_size), sam2.MEAN, sam2.STD),
        sam2_reference.image_encoder(model, sam2.MEAN, sam2.STD),
        cases=(Case("a smooth image"),),
        draws={"image": sam2_reference.draw_image},
    )


def _memory_attention(spec: StageSpec, model: Any) -> ExportStage:
    plain = sam2.memory_attention_stage(spec, model, model.vision_encoder)
    kind = ATTENTION.get(model.config.memory_cross_attention)
    if kind is None:
        return plain
    return replace(plain, module=kind(model, model.vision_encoder, sam2.grid_of(model)))


BUILDERS: dict[str, Callable[[StageSpec, Any], ExportStage]] = {
    "image_encoder": _image_encoder,
    "memory_attention": _memory_attention,
    "mask_decoder": sam2.mask_decoder_stage,
    "memory_encoder": sam2.memory_encoder_stage,
    "mask_prompt_encoder": sam2.mask_prompt_encoder_stage,
}
