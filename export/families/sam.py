"""SAM (2023), ViT-B/L/H, and SAM-HQ: images only, prompted by clicks, boxes and earlier masks."""

from collections.abc import Iterator
from typing import Any

from masklet.export.checkpoints.pretrained import Source, configuration, load_weights, model_type
from masklet.export.family import Case, ExportStage, ImageSize, refuse_token_memory, square
from masklet.export.modules.sam_masks import SamMaskDecoder
from masklet.export.modules.vit import HQEncoder, ViTEncoder
from masklet.export.references import sam2_reference, sam_reference
from masklet.runtime.bundle.spec import ModelSpec, Preprocess, PromptPolicy, StageSpec, TensorSpec
from masklet.runtime.errors import ExportError
from torch import nn
from transformers import SamConfig, SamHQConfig, SamHQModel, SamModel

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PUBLISHED = {(768, 12): "vit-base", (1024, 24): "vit-large", (1280, 32): "vit-huge"}


class Sam:
    """The family of SAM. Those with another image encoder inherit it: `architecture`, `variant` and `encoder` differ.

    own_prompts: whether prompts may be for a square of another size than the encoder's.
    """

    name = "sam"
    model_types: tuple[str, ...] = ("sam", "sam_hq")
    own_prompts = False

    def load(self, source: Source, image_size: ImageSize | None) -> Any:
        """Load a checkpoint. Its position encoding is for one size, so image_size must be that size or None."""
        kind, architecture = self.architecture(source)
        config = configuration(kind, source)
        size = None if image_size is None else square(image_size, self.name)
        check_layout(config, source, size, own_prompts=self.own_prompts)
        return load_weights(architecture, config, source)

    def architecture(self, source: Source) -> tuple[Any, Any]:
        """The classes of a checkpoint's configuration and of its model."""
        return (SamHQConfig, SamHQModel) if model_type(source) == "sam_hq" else (SamConfig, SamModel)

    def spec(self, model: Any, token_memory: bool = False) -> ModelSpec:
        """Declare the model."""
        refuse_token_memory(token_memory, self.name, "has no memory")
        config = model.config
        side, prompted = _sides(config)
        other = None if prompted == side else prompted
        return ModelSpec(
            family=self.name,
            variant=self.variant(config),
            pipeline="image",
            preprocess=Preprocess(side=side, mean=MEAN, std=STD, resize="longest_side", prompt_side=other),
            stages=declare(config),
            prompting=PromptPolicy(stability_threshold=0.0, padded_boxes=False),
        )

    def variant(self, config: Any) -> str:
        """What a published size is called; "custom" for others."""
        vision = config.vision_config
        size = PUBLISHED.get((int(vision.hidden_size), int(vision.num_hidden_layers)), "custom")
        return f"hq-{size}" if is_hq(config) else size

    def stages(self, model: Any, token_memory: bool = False) -> Iterator[ExportStage]:
        """Build the graph module and the reference of each stage."""
        encoder_spec, decoder_spec = declare(model.config)
        side, prompted = _sides(model.config)
        yield ExportStage(
            encoder_spec,
            self.encoder(model, side),
            sam_reference.image_encoder(model, MEAN, STD),
            cases=(Case("smooth image"),),
            draws={"image": sam2_reference.draw_image, "content_hw": sam_reference.draw_content(side)},
        )
        yield ExportStage(
            decoder_spec,
            SamMaskDecoder(model, prompted),
            sam_reference.mask_decoder(model),
            cases=decoder_cases(),
            draws={
                "point_coords": lambda rng, shape: rng.uniform(0, prompted, shape),
                "mask_prompt": sam2_reference.draw_logits,
            },
        )

    def encoder(self, model: Any, side: int) -> nn.Module:
        """The graph module of the image encoder."""
        return (
            HQEncoder(model, side, MEAN, STD)
            if is_hq(model.config)
            else ViTEncoder(model.vision_encoder, side, MEAN, STD)
        )


FAMILY = Sam()


def _sides(config: Any) -> tuple[int, int]:
    """Edges of the image and of the square that prompts are for, in pixels."""
    return int(config.vision_config.image_size), int(config.prompt_encoder_config.image_size)


def is_hq(config: Any) -> bool:
    """Whether a configuration is of SAM-HQ."""
    return str(config.model_type) == "sam_hq"


def check_layout(config: Any, source: Source, image_size: int | None, *, own_prompts: bool = False) -> None:
    """Raise ExportError if a configuration is not supported, or has another image size.

    own_prompts: whether prompts may be for a square of another size than the encoder's.
    """
    vision, prompts = config.vision_config, config.prompt_encoder_config
    side, patch = int(vision.image_size), int(vision.patch_size)
    if image_size not in (None, side):
        raise ExportError(f"{source}: is for images of {side} px and cannot be exported for {image_size} px")
    wanted = {
        "one image size throughout": own_prompts or int(prompts.image_size) == side,
        f"a map of {side // patch} cells a side": int(prompts.image_embedding_size) * patch == side,
        "as many channels in the map as in the decoder": vision.output_channels
        == config.mask_decoder_config.hidden_size,
    }
    failed = [text for text, holds in wanted.items() if not holds]
    if failed:
        raise ExportError(f"{source}: its configuration is not supported by the sam graphs; expected {failed[0]}")


def declare(config: Any) -> tuple[StageSpec, StageSpec]:
    """The encoder and the decoder; SAM-HQ's fine features go from the encoder to the decoder."""
    side, channels = int(config.vision_config.image_size), int(config.vision_config.output_channels)
    grid = int(config.prompt_encoder_config.image_embedding_size)
    candidates = int(config.mask_decoder_config.num_multimask_outputs) + 1
    vision_feat = TensorSpec("vision_feat", (1, channels, grid, grid))
    fine = (TensorSpec("hq_feat", (1, channels // 8, 4 * grid, 4 * grid)),) if is_hq(config) else ()
    return (
        StageSpec(
            "image_encoder",
            inputs=(TensorSpec("image", (1, side, side, 3), "uint8"), TensorSpec("content_hw", (2,), "int64")),
            outputs=(vision_feat, *fine),
        ),
        StageSpec(
            "mask_decoder",
            inputs=(
                vision_feat,
                *prompt_inputs(grid),
                *fine,
            ),
            outputs=candidate_outputs(grid, candidates),
        ),
    )


def prompt_inputs(grid: int) -> tuple[TensorSpec, ...]:
    """The prompts of a decoder of images: points with labels, and an earlier mask. grid: cells of a side of its map."""
    return (
        TensorSpec("point_coords", ("objects", "points", 2)),
        TensorSpec("point_labels", ("objects", "points"), "int64"),
        TensorSpec("mask_prompt", ("objects", 1, 4 * grid, 4 * grid)),
        TensorSpec("has_mask", ("objects",)),
    )


def candidate_outputs(grid: int, candidates: int) -> tuple[TensorSpec, ...]:
    """The masks of each object, as logits at four times the grid, and their predicted IoUs."""
    return (
        TensorSpec("candidate_masks", ("objects", candidates, 4 * grid, 4 * grid)),
        TensorSpec("candidate_ious", ("objects", candidates)),
    )


def decoder_cases() -> tuple[Case, ...]:
    """A mixed batch, then clicks and boxes with and without an earlier mask."""
    mixed = {"point_labels": [[2, 3, 0, 1], [1, 0, 1, -1]], "has_mask": [0, 1]}
    return (
        Case("2 prompts, one with a mask", {"objects": 2, "points": 4}, mixed),
        Case("a click", {"objects": 1, "points": 2}, {"point_labels": [1, -1], "has_mask": 0}),
        Case("a box", {"objects": 1, "points": 2}, {"point_labels": [2, 3], "has_mask": 0}),
        Case("a box and a mask", {"objects": 1, "points": 2}, {"point_labels": [2, 3], "has_mask": 1}),
        Case("a mask alone", {"objects": 1, "points": 2}, {"point_labels": -1, "has_mask": 1}),
    )
