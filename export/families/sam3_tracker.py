"""The interactive head of SAM 3 as a model of images: clicks, boxes and earlier masks, no memory (sam3_tracker)."""

from collections.abc import Iterator
from typing import Any

from masklet.export.checkpoints.pretrained import Source, configuration, load_weights
from masklet.export.families import sam, sam2, sam3
from masklet.export.family import Case, ExportStage, ImageSize, refuse_token_memory, square
from masklet.export.modules.masks import ImageMaskDecoder
from masklet.export.references import sam2_reference
from masklet.runtime.bundle.spec import ModelSpec, Preprocess, PromptPolicy, StageSpec, TensorSpec
from masklet.runtime.errors import ExportError
from transformers import Sam3TrackerConfig, Sam3TrackerModel


class Sam3Tracker:
    """The family of SAM 3's interactive head."""

    name = "sam3_tracker"
    model_types: tuple[str, ...] = ("sam3_tracker",)

    def load(self, source: Source, image_size: ImageSize | None) -> Any:
        """Load a checkpoint for square images of image_size pixels; None for its own size."""
        config = configuration(Sam3TrackerConfig, source)
        backbone = config.vision_config.backbone_config
        resize(config, square(image_size or int(backbone.image_size), self.name), source)
        return load_weights(Sam3TrackerModel, config, source, twins=sam2.FOURIER)

    def spec(self, model: Any, token_memory: bool = False) -> ModelSpec:
        """Declare the model."""
        refuse_token_memory(token_memory, self.name, "has no memory")
        parts = sam3.parts_of(model)
        decoder = model.config.mask_decoder_config
        return ModelSpec(
            family=self.name,
            variant=sam3.size_of(parts),
            pipeline="image",
            preprocess=Preprocess(side=parts.side, mean=sam3.MEAN, std=sam3.STD),
            stages=declare(parts),
            prompting=PromptPolicy(
                stability_delta=float(decoder.dynamic_multimask_stability_delta),
                stability_threshold=float(decoder.dynamic_multimask_stability_thresh)
                if decoder.dynamic_multimask_via_stability
                else 0.0,
            ),
        )

    def stages(self, model: Any, token_memory: bool = False) -> Iterator[ExportStage]:
        """Build the graph module and the reference of each stage."""
        parts = sam3.parts_of(model)
        encoder, decoder = declare(parts)
        yield sam3.BUILDERS["image_encoder"](encoder, parts)
        yield ExportStage(
            decoder,
            ImageMaskDecoder(model, (parts.side, parts.side), (parts.grid, parts.grid)),
            sam2_reference.image_mask_decoder(model),
            cases=decoder_cases(),
            draws={
                "point_coords": lambda rng, shape: rng.uniform(0, parts.side, shape),
                "mask_prompt": sam2_reference.draw_logits,
            },
        )


FAMILY = Sam3Tracker()


def resize(config: Any, side: int, source: Source) -> None:
    """Set the image size throughout a configuration; no weight depends on it.

    Raises ExportError if the size does not fit the patches, or the layout is not supported.
    """
    vision = config.vision_config
    backbone = vision.backbone_config
    if backbone.model_type != "sam3_vit_model" or list(vision.scale_factors[:3]) != [4.0, 2.0, 1.0]:
        raise ExportError(f"{source}: its configuration is not supported by the sam3_tracker graphs; expected SAM 3's")
    patch = int(backbone.patch_size)
    if side < patch or side % patch:
        nearest = max(patch, round(side / patch) * patch)
        raise ExportError(f"{source}: image size {side} is not a multiple of {patch}; the nearest is {nearest}")
    grid = side // patch
    backbone.image_size = config.prompt_encoder_config.image_size = side
    vision.backbone_feature_sizes = [[4 * grid] * 2, [2 * grid] * 2, [grid] * 2]


def declare(parts: sam3.Parts) -> tuple[StageSpec, StageSpec]:
    """The encoder and the decoder."""
    side, grid = parts.side, parts.grid
    channels = int(parts.vision.config.fpn_hidden_size)
    candidates = int(parts.tracker.config.mask_decoder_config.num_multimask_outputs) + 1
    maps = (
        TensorSpec("feat_s0", (1, channels // 8, 4 * grid, 4 * grid)),
        TensorSpec("feat_s1", (1, channels // 4, 2 * grid, 2 * grid)),
        TensorSpec("vision_feat", (1, channels, grid, grid)),
    )
    return (
        StageSpec("image_encoder", (TensorSpec("image", (1, side, side, 3), "uint8"),), maps),
        StageSpec(
            "mask_decoder",
            inputs=(
                *maps,
                *sam.prompt_inputs(grid),
            ),
            outputs=sam.candidate_outputs(grid, candidates),
        ),
    )


def decoder_cases() -> tuple[Case, ...]:
    """A mixed batch, then clicks and boxes with and without an earlier mask."""
    click, box, none = [1, -1], [2, 3, 0, -1], [-1, -1]
    mixed = {"point_labels": [box, [1, 0, 1, -1]], "has_mask": [0, 1]}
    return (
        Case("2 objects, one with a mask", {"objects": 2, "points": 4}, mixed),
        Case("a click", {"objects": 1, "points": 2}, {"point_labels": click, "has_mask": 0}),
        Case("a box and a click", {"objects": 1, "points": 4}, {"point_labels": box, "has_mask": 0}),
        Case("a click and a mask", {"objects": 1, "points": 2}, {"point_labels": click, "has_mask": 1}),
        Case("a mask alone", {"objects": 1, "points": 2}, {"point_labels": none, "has_mask": 1}),
    )
