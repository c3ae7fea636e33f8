"""SAM 2 and SAM 2.1: all four sizes, and any other size that transformers' Sam2VideoConfig describes."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from masklet.export.checkpoints.pretrained import Source, configuration, load_weights
from masklet.export.family import Case, Draw, ExportStage, ImageSize, sides
from masklet.export.modules.hiera import HieraEncoder
from masklet.export.modules.masks import MaskDecoder, MaskPromptEncoder, SingleLevelMaskDecoder
from masklet.export.modules.memories import MemoryAttention, MemoryEncoder
from masklet.export.modules.memory_tokens import TokenMemoryAttention
from masklet.export.references import sam2_reference as reference
from masklet.export.references import token_memory_reference as token_reference
from masklet.runtime.bundle.spec import (
    ConceptPolicy,
    MemorySpec,
    ModelSpec,
    Preprocess,
    PromptPolicy,
    StageSpec,
    TensorSpec,
)
from masklet.runtime.errors import ExportError
from transformers import Sam2VideoConfig, Sam2VideoModel

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STRIDE = 16  # pixels per cell of the feature map that is attended to and decoded
MASK_STRIDE = 16  # pixels per cell in mask prompts and masks encoded into memory, for any image stride
MEMORY_WIDTH = 64  # fixed in transformers' cross-attention
FOURIER = ("shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding")
UNLIMITED_PROMPTED = 8  # prompted frames kept if the configuration sets no limit: the bank is bounded


class Sam2:
    """The family of SAM 2."""

    name = "sam2"
    model_types = ("sam2_video", "sam2")

    def load(self, source: Source, image_size: ImageSize | None) -> Any:
        """Load a checkpoint for frames of image_size pixels; None for its own size."""
        config = configuration(Sam2VideoConfig, source)
        hw = sides(image_size or int(config.image_size))
        resize(config, hw, source)
        model = load_weights(Sam2VideoModel, config, source, twins=FOURIER)
        set_prompted_size(model, hw)
        return model

    def spec(self, model: Any, token_memory: bool = False) -> ModelSpec:
        """Declare the model."""
        stages = declare(model.config, token_memory=token_memory)
        return describe(self.name, _variant(model.config), model.config, stages)

    def stages(self, model: Any, token_memory: bool = False) -> Iterator[ExportStage]:
        """Build the graph module and the reference of each stage."""
        for spec in declare(model.config, token_memory=token_memory):
            yield BUILDERS[spec.name](spec, model)


FAMILY = Sam2()


def resize(config: Any, hw: tuple[int, int], source: Source) -> None:
    """Set the frame size throughout a configuration; no weight depends on it.

    hw: height and width in pixels. Where a configuration holds one number, it is the width; see `set_prompted_size`.
    Raises ExportError if the size does not fit the strides, or the layout is not supported.
    """
    vision, backbone = config.vision_config, config.vision_config.backbone_config
    if getattr(backbone, "model_type", None) != "sam2_hiera_det_model":
        raise ExportError(f"{source}: image backbone {getattr(backbone, 'model_type', None)!r}; expected Hiera")
    _check_layout(config, source)
    unit = math.lcm(2 * STRIDE, backbone.patch_stride[0] * backbone.window_size_per_stage[0])
    height, width = hw
    if any(edge < unit or edge % unit for edge in hw):
        nearest = [max(unit, round(edge / unit) * unit) for edge in hw]
        given, wanted = (str(w) if w == h else f"{w}x{h}" for h, w in (hw, nearest))
        raise ExportError(f"{source}: image size {given} is not a multiple of {unit}; the nearest is {wanted}")
    config.image_size = config.prompt_encoder_config.image_size = width
    backbone.image_size = [height, width]
    vision.backbone_feature_sizes = [[height // s, width // s] for s in (STRIDE // 4, STRIDE // 2, STRIDE)]
    config.memory_attention_rope_feat_sizes = [width // STRIDE, height // STRIDE]


def set_prompted_size(model: Any, hw: tuple[int, int]) -> None:
    """Let the prompt encoder of a loaded model have frames of hw pixels; it reads one number and makes a square."""
    rows, columns = (edge // STRIDE for edge in hw)
    model.prompt_encoder.image_embedding_size = (rows, columns)
    model.prompt_encoder.mask_input_size = (4 * rows, 4 * columns)


def image_hw(config: Any) -> tuple[int, int]:
    """Height and width of the frames of a configuration, in pixels."""
    (columns, rows), width = config.memory_attention_rope_feat_sizes, int(config.image_size)
    return width * rows // columns, width


def _check_layout(config: Any, source: Source) -> None:
    vision, backbone = config.vision_config, config.vision_config.backbone_config
    wanted = {
        "four stages with patches of stride 4": len(backbone.blocks_per_stage) == 4
        and list(backbone.patch_stride) == [4, 4]
        and backbone.num_query_pool_stages == 3,
        "query_stride [2, 2]": list(backbone.query_stride) == [2, 2],
        "a pyramid of 1x1 convolutions, three levels": vision.fpn_kernel_size == 1 and vision.num_feature_levels == 3,
        "fpn_top_down_levels of the two coarse levels": not {0, 1} & set(vision.fpn_top_down_levels),
        "patch_size 16": config.prompt_encoder_config.patch_size == STRIDE,
        f"memory_encoder_output_channels {MEMORY_WIDTH}": config.memory_encoder_output_channels == MEMORY_WIDTH,
        f"an fpn_hidden_size in {MEMORY_WIDTH}s": vision.fpn_hidden_size % MEMORY_WIDTH == 0,
        "num_maskmem of 2 or more": config.num_maskmem >= 2,
    }
    failed = [text for text, holds in wanted.items() if not holds]
    if failed:
        raise ExportError(f"{source}: its configuration is not supported by the sam2 graphs; expected {failed[0]}")


def describe(
    family: str,
    variant: str,
    config: Any,
    stages: tuple[StageSpec, ...],
    *,
    mean: tuple[float, float, float] = MEAN,
    std: tuple[float, float, float] = STD,
    min_effective_iou: float | None = None,
    concepts: ConceptPolicy | None = None,
) -> ModelSpec:
    """Declare a video model with a configuration of SAM 2, or of a model derived from it with the same names."""
    limit, (height, width) = int(config.max_cond_frame_num), image_hw(config)
    return ModelSpec(
        family=family,
        variant=variant,
        pipeline="video",
        preprocess=Preprocess(side=width, mean=mean, std=std, height=None if height == width else height),
        stages=stages,
        prompting=PromptPolicy(
            multimask_min_points=int(config.multimask_min_pt_num),
            multimask_max_points=int(config.multimask_max_pt_num) if config.multimask_output_in_sam else -1,
            multimask_when_tracking=bool(config.multimask_output_for_tracking),
            stability_delta=float(config.mask_decoder_config.dynamic_multimask_stability_delta),
            stability_threshold=float(config.mask_decoder_config.dynamic_multimask_stability_thresh)
            if config.mask_decoder_config.dynamic_multimask_via_stability
            else 0.0,
        ),
        memory=MemorySpec(
            recent_frames=int(config.num_maskmem) - 1,
            prompted_frames=limit if limit > 0 else UNLIMITED_PROMPTED,
            pointers=int(config.max_object_pointers_in_encoder),
            min_effective_iou=min_effective_iou,
        ),
        concepts=concepts,
    )


def declare(
    config: Any,
    memory_tokens: int | None = None,
    stride: int = STRIDE,
    *,
    token_memory: bool = False,
    single_level: bool = False,
) -> tuple[StageSpec, ...]:
    """The stages and their tensors; SAM 2.0 has neither pointer_time nor the memory encoder's object_score.

    memory_tokens: tokens per memory; None for one per cell.
    stride:        image pixels per cell.
    token_memory:  memories are sets of any number of blocks of cells (modules/memory_tokens.py).
    single_level:  the image encoder gives one map, and the decoder takes no finer ones.
    """
    channels, (height, width) = int(config.vision_config.fpn_hidden_size), image_hw(config)
    rows, columns = height // stride, width // stride
    low = 4 * rows, 4 * columns
    tokens = memory_tokens or rows * columns
    candidates = int(config.mask_decoder_config.num_multimask_outputs) + 1
    feat_s0 = TensorSpec("feat_s0", (1, channels // 8, *low))
    feat_s1 = TensorSpec("feat_s1", (1, channels // 4, 2 * rows, 2 * columns))
    fine = () if single_level else (feat_s0, feat_s1)
    vision_feat = TensorSpec("vision_feat", (1, channels, rows, columns))
    image_embed = TensorSpec("image_embed", ("objects", channels, rows, columns))
    low_res_mask = TensorSpec("low_res_mask", ("objects", 1, *low))
    mask_prompt = TensorSpec("mask_prompt", ("objects", 1, *low))
    object_score = TensorSpec("object_score", ("objects", 1))
    pointer_time = TensorSpec("pointer_time", ("objects", "pointers"))
    memory = _declare_memory(None if token_memory else tokens)
    return (
        StageSpec(
            "image_encoder",
            inputs=(TensorSpec("image", (1, height, width, 3), "uint8"),),
            outputs=(*fine, vision_feat),
        ),
        StageSpec(
            "memory_attention",
            inputs=(
                vision_feat,
                *memory,
                TensorSpec("pointers", ("objects", "pointers", channels)),
                *((pointer_time,) if config.enable_temporal_pos_encoding_for_object_pointers else ()),
            ),
            outputs=(image_embed,),
        ),
        _declare_decoder((image_embed, *fine), mask_prompt, low_res_mask, object_score, candidates),
        StageSpec(
            "memory_encoder",
            inputs=(
                vision_feat,
                low_res_mask,
                TensorSpec("binarize", ("objects",)),
                *((object_score,) if config.enable_occlusion_spatial_embedding else ()),
            ),
            outputs=(TensorSpec("new_memory", ("objects", tokens, MEMORY_WIDTH)),),
        ),
        StageSpec(
            "mask_prompt_encoder",
            inputs=(TensorSpec("mask", ("objects", MASK_STRIDE * rows, MASK_STRIDE * columns), "uint8"),),
            outputs=(mask_prompt, low_res_mask),
        ),
    )


def _declare_decoder(
    features: tuple[TensorSpec, ...],
    mask_prompt: TensorSpec,
    low_res_mask: TensorSpec,
    object_score: TensorSpec,
    candidates: int,
) -> StageSpec:
    """The mask decoder. features: what the image and the memories give it. candidates: masks, the single one first."""
    channels, edges = features[0].shape[1], low_res_mask.shape[2:]
    return StageSpec(
        "mask_decoder",
        inputs=(
            *features,
            TensorSpec("point_coords", ("objects", "points", 2)),
            TensorSpec("point_labels", ("objects", "points"), "int64"),
            mask_prompt,
            *(TensorSpec(flag, ("objects",)) for flag in ("has_mask", "multimask", "memoryless")),
        ),
        outputs=(
            low_res_mask,
            TensorSpec("iou", ("objects", 1)),
            object_score,
            TensorSpec("pointer", ("objects", channels)),
            TensorSpec("candidate_masks", ("objects", candidates, *edges)),
            TensorSpec("candidate_ious", ("objects", candidates)),
        ),
    )


def _declare_memory(tokens: int | None) -> tuple[TensorSpec, ...]:
    """What memory attention takes of memories.

    tokens: of each memory; None where each token is a block of cells, told by its number in a Quadtree.
    """
    count = tokens or "memory_tokens"
    memory = TensorSpec("memory", ("objects", "memories", count, MEMORY_WIDTH))
    place = () if tokens else (TensorSpec("memory_place", ("objects", "memories", count), "int64"),)
    return memory, *place, TensorSpec("memory_time", ("objects", "memories"), "int64")


def attention_cases(temporal_rows: int) -> tuple[Case, ...]:
    """Objects with full and with short memories; a single prompted frame is what the second frame attends to."""
    return (
        Case("2 objects, 3 memories, 4 pointers", {"objects": 2, "memories": 3, "pointers": 4}),
        Case(
            "1 object, 1 prompted memory, 1 pointer",
            {"objects": 1, "memories": 1, "pointers": 1},
            {"memory_time": temporal_rows - 1},
        ),
    )


def attention_draws(temporal_rows: int) -> dict[str, Draw]:
    """How times are drawn."""
    return {
        "memory_time": lambda rng, shape: rng.integers(0, temporal_rows, shape),
        "pointer_time": lambda rng, shape: rng.uniform(0, 1, shape),
    }


def token_cases(temporal_rows: int, cells: int) -> tuple[Case, ...]:
    """The same with blocks of any size and padding, and with every cell on its own: SAM 2's own memories."""
    mixed = tuple(
        replace(case, sizes={**case.sizes, "memory_tokens": cells // 4 + 1}) for case in attention_cases(temporal_rows)
    )
    whole = replace(
        mixed[-1],
        name=f"{mixed[-1].name}, every cell",
        sizes={**mixed[-1].sizes, "memory_tokens": cells},
        fixed={**mixed[-1].fixed, "memory_place": np.arange(cells)},
    )
    return (*mixed, whole)


def decoder_cases() -> tuple[Case, ...]:
    """Every combination of flags, with clicks, boxes and no prompt; a mixed batch first."""
    click, box, none = [1, -1], [2, 3, 0, -1], [-1, -1]
    mixed = {"point_labels": [box, [1, 0, 1, -1]], "has_mask": [0, 1], "multimask": [1, 0], "memoryless": [1, 0]}
    cases = [Case("2 objects, flags mixed", {"objects": 2, "points": 4}, mixed)]
    for bits, labels in zip(range(8), [click, none, box, click, none, click, none, box], strict=True):
        flags = {"has_mask": bits & 1, "multimask": bits >> 1 & 1, "memoryless": bits >> 2 & 1}
        name = ", ".join(flag if on else f"no {flag}" for flag, on in flags.items())
        cases.append(Case(name, {"objects": 1, "points": len(labels)}, {"point_labels": labels, **flags}))
    return tuple(cases)


def memory_encoder_cases() -> tuple[Case, ...]:
    """A batch of a prompted, absent and a tracked, present object, and a single object."""
    return (
        Case("2 objects, one binarized and absent", {"objects": 2}, {"binarize": [1, 0], "object_score": [[-2], [3]]}),
        Case("1 object", {"objects": 1}, {"binarize": 0, "object_score": 5}),
    )


def _variant(config: Any) -> str:
    """The published name of the backbone's size, with the version, or "custom"."""
    backbone = config.vision_config.backbone_config
    published = {(96, 12): "tiny", (96, 16): "small", (112, 24): "base-plus", (144, 48): "large"}
    size = published.get((int(backbone.hidden_size), sum(backbone.blocks_per_stage)), "custom")
    version = "2.1" if config.enable_occlusion_spatial_embedding else "2.0"
    return f"{version}-hiera-{size}"


def _image_encoder(spec: StageSpec, model: Any) -> ExportStage:
    return ExportStage(
        spec,
        HieraEncoder(model, image_hw(model.config), MEAN, STD),
        reference.image_encoder(model, MEAN, STD),
        cases=(Case("a smooth image"),),
        draws={"image": reference.draw_image},
    )


def grid_of(model: Any) -> tuple[int, int]:
    """Rows and columns of the feature map that is attended to and decoded."""
    rows, columns = model.prompt_encoder.image_embedding_size
    return int(rows), int(columns)


def mask_hw(model: Any) -> tuple[int, int]:
    """Height and width of masks that are given or encoded into memory, in pixels."""
    rows, columns = grid_of(model)
    return MASK_STRIDE * rows, MASK_STRIDE * columns


def _memory_attention(spec: StageSpec, model: Any) -> ExportStage:
    return memory_attention_stage(spec, model, model.vision_encoder.neck)


def memory_attention_stage(spec: StageSpec, model: Any, neck: Any) -> ExportStage:
    """The memory attention of SAM 2 and SAM 3. neck: the pyramid that produces the model's features."""
    rows, grid = int(model.config.num_maskmem), grid_of(model)
    draws = attention_draws(rows)
    if not spec.accepts("memory_place"):
        module, computed = MemoryAttention(model, neck, grid), reference.memory_attention(model, neck)
        return ExportStage(spec, module, computed, attention_cases(rows), draws)
    return ExportStage(
        spec,
        TokenMemoryAttention(model, neck, grid),
        token_reference.memory_attention(model, neck),
        cases=token_cases(rows, grid[0] * grid[1]),
        draws={**draws, "memory_place": token_reference.draw_places(grid)},
    )


def mask_decoder_stage(spec: StageSpec, model: Any) -> ExportStage:
    """The mask decoder of SAM 2 and of models derived from it."""
    hw = image_hw(model.config)
    decoder = MaskDecoder if spec.accepts("feat_s0") else SingleLevelMaskDecoder
    return ExportStage(
        spec,
        decoder(model, hw, grid_of(model)),
        reference.mask_decoder(model),
        cases=decoder_cases(),
        draws={
            "point_coords": lambda rng, shape: rng.uniform(0, hw[::-1], shape),
            "mask_prompt": reference.draw_logits,
        },
        decided=reference.decoder_decided(model),
    )


def memory_encoder_stage(spec: StageSpec, model: Any) -> ExportStage:
    """The memory encoder of SAM 2 and SAM 3."""
    return ExportStage(
        spec,
        MemoryEncoder(model, mask_hw(model)),
        reference.memory_encoder(model),
        cases=memory_encoder_cases(),
        draws={"low_res_mask": reference.draw_logits},
        rounded=frozenset({"new_memory"}),
    )


def mask_prompt_encoder_stage(spec: StageSpec, model: Any) -> ExportStage:
    """The mask prompt encoder of SAM 2 and of models derived from it."""
    return ExportStage(
        spec,
        MaskPromptEncoder(model, mask_hw(model)),
        reference.mask_prompt_encoder(model),
        cases=(Case("2 objects", {"objects": 2}), Case("1 object", {"objects": 1})),
        draws={"mask": reference.draw_mask},
    )


BUILDERS: dict[str, Callable[[StageSpec, Any], ExportStage]] = {
    "image_encoder": _image_encoder,
    "memory_attention": _memory_attention,
    "mask_decoder": mask_decoder_stage,
    "memory_encoder": memory_encoder_stage,
    "mask_prompt_encoder": mask_prompt_encoder_stage,
}
