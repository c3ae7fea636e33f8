"""SAM 3: a concept detector, and a tracker like that of SAM 2 on the same image features.

A checkpoint has both of them (sam3_video), the detector (sam3; with a small text encoder sam3_lite_text) or the tracker
(sam3_tracker_video).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from masklet.export.checkpoints.pretrained import Source, configuration, load_weights, model_type
from masklet.export.families import sam2
from masklet.export.family import Case, ExportStage, ImageSize, refuse_token_memory, square
from masklet.export.modules.detector import Detector, MaskHead
from masklet.export.modules.exemplars import ExemplarEncoder
from masklet.export.modules.phrases import PhraseEncoder
from masklet.export.modules.rotary_vit import Pyramid, RotaryViTEncoder
from masklet.export.references import sam3_reference as reference
from masklet.export.references.sam2_reference import draw_image
from masklet.runtime.bundle.spec import ConceptPolicy, ModelSpec, Preprocess, StageSpec, TensorSpec
from masklet.runtime.errors import ExportError
from transformers import (
    Sam3Config,
    Sam3LiteTextConfig,
    Sam3LiteTextModel,
    Sam3Model,
    Sam3TrackerVideoConfig,
    Sam3TrackerVideoModel,
    Sam3VideoConfig,
    Sam3VideoModel,
)

MEAN = STD = (0.5, 0.5, 0.5)
MIN_EFFECTIVE_IOU = 0.01  # minimum for a frame to be remembered (sam3_tracker_base.py 73; model_builder.py 483, 660)
PHRASE_TOKENS = 32  # length of a padded phrase (processing_sam3.py 139; text_encoder_ve.py, context_length)
ARCHITECTURES: dict[str, tuple[Any, Any]] = {
    "sam3_video": (Sam3VideoConfig, Sam3VideoModel),
    "sam3": (Sam3Config, Sam3Model),
    "sam3_lite_text": (Sam3LiteTextConfig, Sam3LiteTextModel),
    "sam3_tracker_video": (Sam3TrackerVideoConfig, Sam3TrackerVideoModel),
}


@dataclass(frozen=True)
class Parts:
    """The parts of a checkpoint: a detector, a tracker or both, on one image backbone.

    neck: feature pyramid of the tracker.
    """

    detector: Any
    tracker: Any
    neck: Any

    @property
    def vision(self) -> Any:
        """The image backbone with the pyramid of the checkpoint."""
        return (self.detector or self.tracker).vision_encoder

    @property
    def side(self) -> int:
        """Edge of the image, in pixels."""
        return int(self.vision.config.backbone_config.image_size)

    @property
    def grid(self) -> int:
        """Edge of the coarse feature map, in cells."""
        return self.side // int(self.vision.config.backbone_config.patch_size)


def parts_of(model: Any) -> Parts:
    """The parts of a loaded checkpoint."""
    if hasattr(model, "tracker_neck"):
        return Parts(model.detector_model, model.tracker_model, model.tracker_neck)
    if hasattr(model, "detr_decoder"):
        return Parts(model, None, None)
    return Parts(None, model, model.vision_encoder.neck)


class Sam3:
    """The family of SAM 3."""

    name = "sam3"
    model_types = tuple(ARCHITECTURES)

    def load(self, source: Source, image_size: ImageSize | None) -> Any:
        """Load a checkpoint for square frames of image_size pixels; None for its own size."""
        config_type, architecture = ARCHITECTURES[model_type(source)]
        config = configuration(config_type, source)
        resize(config, square(image_size or int(config.image_size), self.name), source)
        prefix = "tracker_model." if architecture is Sam3VideoModel else ""
        return load_weights(architecture, config, source, twins=tuple(prefix + name for name in sam2.FOURIER))

    def spec(self, model: Any, token_memory: bool = False) -> ModelSpec:
        """Declare the model."""
        parts = parts_of(model)
        refuse_token_memory(token_memory and parts.tracker is None, self.name, "has no memory without its tracker")
        stages, concepts = declare(parts, token_memory), ConceptPolicy() if parts.detector else None
        if parts.tracker:
            return sam2.describe(
                self.name,
                _variant(parts),
                parts.tracker.config,
                stages,
                mean=MEAN,
                std=STD,
                min_effective_iou=MIN_EFFECTIVE_IOU,
                concepts=concepts,
            )
        preprocess = Preprocess(side=parts.side, mean=MEAN, std=STD)
        return ModelSpec(self.name, _variant(parts), "image", preprocess, stages, concepts=concepts)

    def stages(self, model: Any, token_memory: bool = False) -> Iterator[ExportStage]:
        """Build the graph module and the reference of each stage."""
        parts = parts_of(model)
        for spec in declare(parts, token_memory):
            yield BUILDERS[spec.name](spec, parts)


FAMILY = Sam3()


def resize(config: Any, side: int, source: Source) -> None:
    """Set the frame size throughout a configuration; no weight depends on it.

    Raises ExportError if the size does not fit the patches, or the layout is not supported.
    """
    detector: Any = getattr(config, "detector_config", config if hasattr(config, "detr_decoder_config") else None)
    tracker: Any = getattr(config, "tracker_config", config if hasattr(config, "num_maskmem") else None)
    vision = (detector or tracker).vision_config
    backbone = vision.backbone_config
    if getattr(backbone, "model_type", None) != "sam3_vit_model":
        kind = getattr(backbone, "model_type", None)
        raise ExportError(f"{source}: image backbone {kind!r}; expected sam3_vit_model")
    wanted = {
        "a pyramid with levels of 4, 2 and 1 times": list(vision.scale_factors[:3]) == [4.0, 2.0, 1.0],
        **(_detector_layout(detector) if detector else {}),
        **(_tracker_layout(tracker, vision) if tracker else {}),
    }
    failed = [text for text, holds in wanted.items() if not holds]
    if failed:
        raise ExportError(f"{source}: its configuration is not supported by the sam3 graphs; expected {failed[0]}")
    patch = int(backbone.patch_size)
    if side < patch or side % patch:
        nearest = max(patch, round(side / patch) * patch)
        raise ExportError(f"{source}: image size {side} is not a multiple of {patch}; the nearest is {nearest}")
    config.image_size = side


def _detector_layout(config: Any) -> dict[str, bool]:
    parts = ("geometry_encoder_config", "detr_encoder_config", "detr_decoder_config", "mask_decoder_config")
    text = config.text_config
    return {
        "one width of the detector": all(
            getattr(config, part).hidden_size == config.vision_config.fpn_hidden_size for part in parts
        ),
        "a text encoder of CLIP or LiteText": text.model_type in ("clip_text_model", "sam3_lite_text_text_model"),
        f"phrases of {PHRASE_TOKENS} tokens": text.model_type != "clip_text_model"
        or text.max_position_embeddings >= PHRASE_TOKENS,
        "num_upsampling_stages of 2 or more": config.mask_decoder_config.num_upsampling_stages >= 2,
    }


def _tracker_layout(config: Any, vision: Any) -> dict[str, bool]:
    width = sam2.MEMORY_WIDTH
    return {
        "one width of pyramids": config.vision_config.fpn_hidden_size == vision.fpn_hidden_size,
        "one patch_size": config.prompt_encoder_config.patch_size == vision.backbone_config.patch_size,
        f"memory_encoder_output_channels {width}": config.memory_encoder_output_channels == width,
        f"an fpn_hidden_size in {width}s": vision.fpn_hidden_size % width == 0,
        f"mask_downsampler_total_stride {sam2.MASK_STRIDE}": config.mask_downsampler_total_stride == sam2.MASK_STRIDE,
        "num_maskmem of 2 or more": config.num_maskmem >= 2,
    }


def declare(parts: Parts, token_memory: bool = False) -> tuple[StageSpec, ...]:
    """The stages and their tensors: the image encoder, the stages of the detector, the stages of the tracker."""
    side, grid = parts.side, parts.grid
    tracker: tuple[StageSpec, ...] = ()
    if parts.tracker:
        stride = int(parts.vision.config.backbone_config.patch_size)
        tracker = sam2.declare(parts.tracker.config, stride=stride, token_memory=token_memory)
    detector: tuple[StageSpec, ...] = ()
    maps: tuple[TensorSpec, ...] = ()
    if parts.detector:
        width = int(parts.vision.config.fpn_hidden_size)
        edges = (4 * grid, 2 * grid, grid)
        maps = tuple(TensorSpec(f"det_fpn{level}", (1, width, edge, edge)) for level, edge in enumerate(edges))
        detector = _declare_detector(parts.detector, maps, grid * grid)
    features = (*maps, *(tracker[0].outputs if tracker else ()))
    encoder = StageSpec("image_encoder", (TensorSpec("image", (1, side, side, 3), "uint8"),), features)
    return (encoder, *detector, *tracker[1:])


def _declare_detector(detector: Any, maps: tuple[TensorSpec, ...], cells: int) -> tuple[StageSpec, ...]:
    width, queries = int(maps[2].shape[1]), int(detector.detr_decoder.config.num_queries)
    fine, middle, coarse = maps
    text_valid = TensorSpec("text_valid", ("phrases", PHRASE_TOKENS))
    prompt = TensorSpec("prompt", ("phrases", "tokens", width)), TensorSpec("prompt_valid", ("phrases", "tokens"))
    encoded = TensorSpec("encoded", ("phrases", cells, width))
    return (
        StageSpec(
            "text_encoder",
            inputs=(
                TensorSpec("text_ids", ("phrases", PHRASE_TOKENS), "int64"),
                *((text_valid,) if _lite(detector) else ()),
            ),
            outputs=(TensorSpec("text_feat", ("phrases", PHRASE_TOKENS, width)),),
        ),
        StageSpec(
            "geometry_encoder",
            inputs=(
                coarse,
                TensorSpec("boxes", ("phrases", "exemplars", 4)),
                TensorSpec("box_labels", ("phrases", "exemplars"), "int64"),
                TensorSpec("box_valid", ("phrases", "exemplars")),
            ),
            outputs=(
                TensorSpec("exemplar_feat", ("phrases", "exemplars", width)),
                TensorSpec("geometry_cls", ("phrases", 1, width)),
            ),
        ),
        StageSpec(
            "detector",
            inputs=(coarse, *prompt),
            outputs=(
                TensorSpec("detection_logits", ("phrases", queries)),
                TensorSpec("detection_boxes", ("phrases", queries, 4)),
                TensorSpec("presence_logit", ("phrases", 1)),
                TensorSpec("queries", ("phrases", queries, width)),
                encoded,
            ),
        ),
        StageSpec(
            "mask_head",
            inputs=(fine, middle, encoded, *prompt, TensorSpec("selected_queries", ("phrases", "selected", width))),
            outputs=(
                TensorSpec("instance_masks", ("phrases", "selected", *fine.shape[2:])),
                TensorSpec("semantic_mask", ("phrases", 1, *fine.shape[2:])),
            ),
        ),
    )


def _lite(detector: Any) -> bool:
    """Whether the text encoder is that of LiteText, which takes the padding as an input."""
    return str(detector.config.text_config.model_type) == "sam3_lite_text_text_model"


def size_of(parts: Parts) -> str:
    """The published name of the image backbone's size, or "custom"."""
    backbone = parts.vision.config.backbone_config
    return "large" if (backbone.hidden_size, backbone.num_hidden_layers) == (1024, 32) else "custom"


def _variant(parts: Parts) -> str:
    """The published name of the image backbone's size or "custom", then parts that are small or missing."""
    size = size_of(parts)
    lite = "-litetext" if parts.detector and _lite(parts.detector) else ""
    return size + lite + ("" if parts.tracker else "-detector") + ("" if parts.detector else "-tracker")


def _image_encoder(spec: StageSpec, parts: Parts) -> ExportStage:
    pyramids = [Pyramid(parts.vision.neck)] if parts.detector else []
    if parts.tracker:
        decoder = parts.tracker.mask_decoder
        pyramids.append(Pyramid(parts.neck, (decoder.conv_s0, decoder.conv_s1, None)))
    return ExportStage(
        spec,
        RotaryViTEncoder(parts.vision.backbone, pyramids, parts.side, MEAN, STD),
        reference.image_encoder(parts, MEAN, STD),
        cases=(Case("a smooth image"),),
        draws={"image": draw_image},
    )


def _text_encoder(spec: StageSpec, parts: Parts) -> ExportStage:
    words = int(parts.detector.config.text_config.vocab_size)
    return ExportStage(
        spec,
        PhraseEncoder(parts.detector, PHRASE_TOKENS),
        reference.text_encoder(parts.detector),
        cases=(Case("2 phrases", {"phrases": 2}), Case("1 phrase", {"phrases": 1})),
        draws={
            "text_ids": lambda rng, shape: rng.integers(0, words, shape),
            "text_valid": lambda rng, shape: np.arange(shape[1]) < rng.integers(3, shape[1], (shape[0], 1)),
        },
    )


def _geometry_encoder(spec: StageSpec, parts: Parts) -> ExportStage:
    return ExportStage(
        spec,
        ExemplarEncoder(parts.detector.geometry_encoder, parts.vision.neck, parts.grid),
        reference.geometry_encoder(parts.detector),
        cases=(
            Case(
                "2 phrases, one with fewer exemplars",
                {"phrases": 2, "exemplars": 3},
                {"box_valid": [[1, 1, 1], [0, 1, 0]]},
            ),
            Case("1 exemplar", {"phrases": 1, "exemplars": 1}, {"box_valid": 1}),
            Case("no exemplar", {"phrases": 1, "exemplars": 1}, {"boxes": 0, "box_valid": 0}),
            Case("the whole image", {"phrases": 1, "exemplars": 1}, {"boxes": [0.5, 0.5, 1, 1], "box_valid": 1}),
        ),
        draws={
            "boxes": reference.draw_boxes,
            "box_labels": lambda rng, shape: rng.integers(0, 2, shape),
        },
    )


def _detector(spec: StageSpec, parts: Parts) -> ExportStage:
    return ExportStage(
        spec,
        Detector(parts.detector, parts.vision.neck, parts.grid),
        reference.detector(parts.detector),
        cases=(
            Case("2 phrases", {"phrases": 2, "tokens": PHRASE_TOKENS + 3}),
            Case("1 phrase", {"phrases": 1, "tokens": PHRASE_TOKENS + 2}),
        ),
        draws={"prompt_valid": reference.draw_valid},
    )


def _mask_head(spec: StageSpec, parts: Parts) -> ExportStage:
    return ExportStage(
        spec,
        MaskHead(parts.detector.mask_decoder, parts.grid),
        reference.mask_head(parts.detector),
        cases=(
            Case("2 phrases, 5 queries", {"phrases": 2, "tokens": PHRASE_TOKENS + 3, "selected": 5}),
            Case("1 phrase, 1 query", {"phrases": 1, "tokens": PHRASE_TOKENS + 2, "selected": 1}),
        ),
        draws={"prompt_valid": reference.draw_valid},
    )


BUILDERS: dict[str, Callable[[StageSpec, Parts], ExportStage]] = {
    "image_encoder": _image_encoder,
    "text_encoder": _text_encoder,
    "geometry_encoder": _geometry_encoder,
    "detector": _detector,
    "mask_head": _mask_head,
    "memory_attention": lambda spec, parts: sam2.memory_attention_stage(spec, parts.tracker, parts.neck),
    "mask_decoder": lambda spec, parts: sam2.mask_decoder_stage(spec, parts.tracker),
    "memory_encoder": lambda spec, parts: sam2.memory_encoder_stage(spec, parts.tracker),
    "mask_prompt_encoder": lambda spec, parts: sam2.mask_prompt_encoder_stage(spec, parts.tracker),
}
