"""The pointer of every candidate mask, which a mask decoder gives where it is asked for when a bundle is exported.

The decoder's `pointer` belongs to the mask that it takes itself. A memory policy that may take another candidate
(`samurai`) remembers that one's pointer; four small products more. The output is left out of other bundles, whose
graphs stay as they are.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import cast

import msgspec
from masklet.export.family import ExportStage
from masklet.export.modules.masks import MaskDecoder
from masklet.runtime.bundle.spec import ModelSpec, StageSpec, Tensor, TensorSpec
from masklet.runtime.errors import ExportError

NAME = "candidate_pointers"
STAGE = "mask_decoder"


def are_in(model: ModelSpec) -> bool:
    """Whether a model's mask decoder gives them."""
    return any(t.name == NAME for stage in model.stages if stage.name == STAGE for t in stage.outputs)


def declare(model: ModelSpec) -> ModelSpec:
    """The model with them. Raises ExportError where it has no tracker, whose memory would need them."""
    if model.memory is None:
        raise ExportError(f"{model.family}/{model.variant} has no memory that needs the pointers of candidates")
    stages = tuple(_declared(stage) if stage.name == STAGE else stage for stage in model.stages)
    return msgspec.structs.replace(model, stages=stages)


def add(stage: ExportStage) -> ExportStage:
    """A stage to be exported, with them where it is the mask decoder."""
    if stage.spec.name != STAGE:
        return stage
    cast(MaskDecoder, stage.module).gives_candidate_pointers = True
    reference = partial(cast(Callable[..., dict[str, Tensor]], stage.reference), candidate_pointers=True)
    return replace(stage, spec=_declared(stage.spec), reference=reference)


def _declared(stage: StageSpec) -> StageSpec:
    """candidate_pointers: [objects, candidates, channels], as if the object were visible."""
    shapes = {t.name: t.shape for t in stage.outputs}
    shape = ("objects", shapes["candidate_ious"][1], shapes["pointer"][1])
    return msgspec.structs.replace(stage, outputs=(*stage.outputs, TensorSpec(NAME, shape)))
