"""The pipelines of the runtime: the stages and tensors that each of them runs. A bundle is checked against them.

A tensor is written as "float32[objects, 1, MASK_H, MASK_W]". Numbers are sizes; lower case names are symbols, whose
size a call decides; upper case names are sizes that the model decides, the same wherever the name appears.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from masklet.runtime.bundle.spec import ModelSpec, StageSpec, TensorSpec
from masklet.runtime.errors import SpecError

TENSORS = {
    "image": "uint8[1, HEIGHT, WIDTH, 3]",
    "content_hw": "int64[2]",
    "vision_feat": "float32[1, CHANNELS, GRID_H, GRID_W]",
    "feat_s0": "float32[1, FINE, MASK_H, MASK_W]",
    "feat_s1": "float32[1, MIDDLE, MIDDLE_H, MIDDLE_W]",
    "memory": "float32[objects, memories, TOKENS, MEMORY]",
    "memory_time": "int64[objects, memories]",
    "pointers": "float32[objects, pointers, POINTER]",
    "pointer_time": "float32[objects, pointers]",
    "image_embed": "float32[objects, CHANNELS, GRID_H, GRID_W]",
    "point_coords": "float32[objects, points, 2]",
    "point_labels": "int64[objects, points]",
    "mask_prompt": "float32[objects, 1, MASK_H, MASK_W]",
    "has_mask": "float32[objects]",
    "multimask": "float32[objects]",
    "memoryless": "float32[objects]",
    "low_res_mask": "float32[objects, 1, MASK_H, MASK_W]",
    "iou": "float32[objects, 1]",
    "object_score": "float32[objects, 1]",
    "pointer": "float32[objects, POINTER]",
    "candidate_masks": "float32[objects, CANDIDATES, MASK_H, MASK_W]",
    "candidate_ious": "float32[objects, CANDIDATES]",
    "candidate_pointers": "float32[objects, CANDIDATES, POINTER]",
    "binarize": "float32[objects]",
    "new_memory": "float32[objects, TOKENS, MEMORY]",
    "mask": "uint8[objects, PROMPT_H, PROMPT_W]",
    "text_ids": "int64[phrases, TEXT]",
    "text_valid": "float32[phrases, TEXT]",
    "text_feat": "float32[phrases, TEXT, DETECTOR]",
    "boxes": "float32[phrases, exemplars, 4]",
    "box_labels": "int64[phrases, exemplars]",
    "box_valid": "float32[phrases, exemplars]",
    "exemplar_feat": "float32[phrases, exemplars, DETECTOR]",
    "geometry_cls": "float32[phrases, 1, DETECTOR]",
    "det_fpn0": "float32[1, LEVEL, MASK_H, MASK_W]",
    "prompt": "float32[phrases, tokens, DETECTOR]",
    "prompt_valid": "float32[phrases, tokens]",
    "detection_logits": "float32[phrases, QUERIES]",
    "detection_boxes": "float32[phrases, QUERIES, 4]",
    "presence_logit": "float32[phrases, 1]",
    "queries": "float32[phrases, QUERIES, DETECTOR]",
    "encoded": "float32[phrases, CELLS, DETECTOR]",
    "selected_queries": "float32[phrases, selected, DETECTOR]",
    "instance_masks": "float32[phrases, selected, MASK_H, MASK_W]",
    "semantic_mask": "float32[phrases, 1, MASK_H, MASK_W]",
}
BLOCKS = {  # of models whose memories are sets of blocks of cells
    "memory": "float32[objects, memories, memory_tokens, MEMORY]",
    "memory_place": "int64[objects, memories, memory_tokens]",
}
LEAST = {"CANDIDATES": 2}  # a single mask, and at least one to choose from


@dataclass(frozen=True, slots=True)
class StageNeeds:
    """What a pipeline needs of a stage: names of tensors, with spaces between them.

    takes:    inputs that the stage must have. may_take: inputs that it may have.
    features: outputs of the image encoder are passed to the stage as well, if it takes them.
    gives:    outputs that it must have. may_give: outputs that are used if it has them; others are ignored.
    """

    takes: str
    gives: str
    may_take: str = ""
    may_give: str = ""
    features: bool = False


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A way to run a model. task: the words for it in messages."""

    task: str
    stages: Mapping[str, StageNeeds]

    def missing(self, model: ModelSpec) -> list[str]:
        """The stages of the pipeline that a model lacks."""
        return [name for name in self.stages if all(name != stage.name for stage in model.stages)]


IMAGES = Pipeline(
    "prompts on images",
    {
        "image_encoder": StageNeeds("image", "vision_feat", "content_hw"),
        "mask_decoder": StageNeeds(
            "point_coords point_labels mask_prompt",
            "candidate_masks candidate_ious",
            "image_embed has_mask multimask memoryless",
            features=True,
        ),
    },
)
VIDEO = Pipeline(
    "tracking",
    {
        "image_encoder": StageNeeds("image", "vision_feat", may_give="feat_s0 feat_s1"),
        "memory_attention": StageNeeds(
            "vision_feat memory memory_time pointers", "image_embed", "memory_place pointer_time"
        ),
        "mask_decoder": StageNeeds(
            "image_embed point_coords point_labels mask_prompt",
            "low_res_mask iou object_score pointer",
            "has_mask multimask memoryless",
            "candidate_pointers",
            features=True,
        ),
        "memory_encoder": StageNeeds("low_res_mask", "new_memory", "vision_feat binarize object_score"),
        "mask_prompt_encoder": StageNeeds("mask", "mask_prompt low_res_mask"),
    },
)
CONCEPTS = Pipeline(
    "phrases and exemplars",
    {
        "image_encoder": StageNeeds("image", "det_fpn0"),
        "text_encoder": StageNeeds("text_ids", "text_feat", "text_valid"),
        "geometry_encoder": StageNeeds("boxes box_labels box_valid", "exemplar_feat geometry_cls", features=True),
        "detector": StageNeeds(
            "prompt prompt_valid",
            "detection_logits detection_boxes presence_logit queries encoded",
            features=True,
        ),
        "mask_head": StageNeeds(
            "encoded prompt prompt_valid selected_queries", "instance_masks semantic_mask", features=True
        ),
    },
)


def pipelines_of(model: ModelSpec) -> list[Pipeline]:
    """The pipelines that a model declares to be run with."""
    prompted = model.pipeline == "video" or model.concepts is None
    return [
        *([IMAGES] if prompted or not IMAGES.missing(model) else []),
        *([VIDEO] if model.pipeline == "video" else []),
        *([CONCEPTS] if model.concepts is not None else []),
    ]


def check_pipelines(model: ModelSpec) -> None:
    """Raise SpecError if a model lacks a stage or a tensor of its pipelines, or declares one in another form."""
    height, width = model.preprocess.hw
    sizes, tensors = {"HEIGHT": height, "WIDTH": width}, TENSORS | BLOCKS if model.token_memory else TENSORS
    for pipeline in pipelines_of(model):
        if missing := pipeline.missing(model):
            raise SpecError(f"the pipeline for {pipeline.task} needs the stage {missing[0]!r}, which the model lacks")
        for name, needs in pipeline.stages.items():
            _check_stage(model, model.stage(name), needs, tensors, sizes)
    _check_resize(model, sizes)
    if model.token_memory and sizes["TOKENS"] != sizes["GRID_H"] * sizes["GRID_W"]:
        raise SpecError(
            f"memories have {sizes['TOKENS']} tokens and the map {sizes['GRID_H']} x {sizes['GRID_W']} cells: blocks "
            "of cells need one token for each"
        )


def _check_resize(model: ModelSpec, sizes: Mapping[str, int]) -> None:
    """The encoder is told which part a frame covers if it does not cover all; masks are then enlarged by a factor."""
    fits, told = model.preprocess.resize == "longest_side", model.stage("image_encoder").accepts("content_hw")
    if fits != told:
        raise SpecError(
            f"preprocess.resize is {model.preprocess.resize!r}, but the image encoder "
            f"{'takes' if told else 'does not take'} 'content_hw', which belongs to \"longest_side\""
        )
    if fits and any(sizes["HEIGHT"] % sizes.get(edge, 1) for edge in ("MASK_H", "MASK_W")):
        raise SpecError(f"an image of {sizes['HEIGHT']} px is no multiple of masks of {sizes['MASK_H']} px")


def _check_stage(
    model: ModelSpec, stage: StageSpec, needs: StageNeeds, patterns: Mapping[str, str], sizes: dict[str, int]
) -> None:
    features = {tensor.name for tensor in model.stage("image_encoder").outputs} if needs.features else set()
    for kind, tensors, wanted, possible in (
        ("take", stage.inputs, needs.takes, needs.may_take),
        ("give", stage.outputs, needs.gives, needs.may_give),
    ):
        declared = {tensor.name: tensor for tensor in tensors}
        for name in wanted.split():
            if name not in declared:
                raise SpecError(f"stage {stage.name!r} must {kind} {name!r}, {patterns[name]}")
        for name in (*wanted.split(), *possible.split(), *sorted(features & patterns.keys())):
            if name in declared and not _matches(patterns[name], declared[name], sizes):
                raise SpecError(_mismatch(stage, declared[name], patterns[name], sizes))
    for name in stage.input_names - {*needs.takes.split(), *needs.may_take.split()} - features:
        raise SpecError(f"stage {stage.name!r} takes {name!r}, which nothing gives to it")


def _matches(pattern: str, tensor: TensorSpec, sizes: dict[str, int]) -> bool:
    """Match a declaration, adding the sizes of new upper case names to `sizes`."""
    dtype, *wanted = re.findall(r"\w+", pattern)
    if tensor.dtype != dtype or len(tensor.shape) != len(wanted):
        return False
    for want, got in zip(wanted, tensor.shape, strict=True):
        if want.isdecimal():
            fits = got == int(want)
        elif want.islower():
            fits = got == want
        else:
            fits = isinstance(got, int) and got >= LEAST.get(want, 1) and sizes.setdefault(want, got) == got
        if not fits:
            return False
    return True


def _mismatch(stage: StageSpec, tensor: TensorSpec, wanted: str, sizes: Mapping[str, int]) -> str:
    known = [f"{name} {sizes[name]}" for name in re.findall(r"[A-Z_]+", wanted) if name in sizes]
    where = f" with {', '.join(known)}" if known else ""
    got = f"{tensor.dtype}[{', '.join(map(str, tensor.shape))}]"
    return f"stage {stage.name!r}: {tensor.name!r} must be {wanted}{where}, it is declared as {got}"
