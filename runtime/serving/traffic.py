"""What a frame sends to a model server and gets back, stage by stage, from the declaration of the model."""

from collections.abc import Sequence
from dataclasses import dataclass

from masklet.runtime.bundle.spec import ModelSpec, TensorSpec


@dataclass(frozen=True, slots=True)
class StageTraffic:
    """Bytes of one call of a stage. sent: to the server; returned: from it."""

    stage: str
    sent: int
    returned: int


def stage_traffic(model: ModelSpec, objects: int = 1) -> list[StageTraffic]:
    """The bytes of each stage for a number of objects, with a full memory bank; every other symbol counts one."""
    full = {"objects": objects}
    if model.memory is not None:
        full |= {"memories": 1 + model.memory.recent_frames, "pointers": model.memory.pointers}
    return [StageTraffic(stage.name, _bytes(stage.inputs, full), _bytes(stage.outputs, full)) for stage in model.stages]


def _bytes(tensors: Sequence[TensorSpec], full: dict[str, int]) -> int:
    symbols = {size for tensor in tensors for size in tensor.shape if isinstance(size, str)}
    return sum(tensor.nbytes(dict.fromkeys(symbols, 1) | full) for tensor in tensors)
