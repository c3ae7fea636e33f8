"""Upper limits on what a bundle may make the runtime allocate: beyond them a manifest is damaged, not a model."""

from masklet.runtime.bundle.spec import MemorySpec, ModelSpec, TensorSpec
from masklet.runtime.errors import SpecError

MOST_TENSOR_BYTES = 1 << 30  # of one tensor, for one object, memory, point, ...; the largest of SAM 3 has 85 MB
MOST_FRAMES = 4096  # of any kind that a memory keeps
MOST_BANK_BYTES = 4 << 30  # of the memory of one object


def check_limits(model: ModelSpec) -> None:
    """Raise SpecError if a tensor or the memory bank of a model is beyond all reason."""
    tensors = {tensor.name: tensor for stage in model.stages for tensor in (*stage.inputs, *stage.outputs)}
    for tensor in tensors.values():
        if _bytes(tensor) > MOST_TENSOR_BYTES:
            raise SpecError(
                f"tensor {tensor.name!r} {list(tensor.shape)} takes {_bytes(tensor):.1e} bytes; at most "
                f"{MOST_TENSOR_BYTES:.1e} are accepted"
            )
    if model.memory is not None:
        _check_memory(model.memory, tensors)


def _check_memory(memory: MemorySpec, tensors: dict[str, TensorSpec]) -> None:
    frames = {
        "recent_frames": memory.recent_frames,
        "prompted_frames": memory.prompted_frames,
        "pointers": memory.pointers,
    }
    for name, count in frames.items():
        if count > MOST_FRAMES:
            raise SpecError(f"memory policy: {name} {count} is out of range; at most {MOST_FRAMES} frames are kept")
    if memory.min_effective_iou is not None and not 0 <= memory.min_effective_iou <= 1:
        raise SpecError(f"memory policy: min_effective_iou {memory.min_effective_iou} is out of range, 0 to 1")
    total = (memory.recent_frames + memory.prompted_frames) * _bytes(tensors["memory"])
    total += (memory.pointers + memory.prompted_frames) * _bytes(tensors["pointers"])
    if total > MOST_BANK_BYTES:
        raise SpecError(
            f"memory policy: the memory of one object takes {total:.1e} bytes, at most {MOST_BANK_BYTES:.1e}"
        )


def _bytes(tensor: TensorSpec) -> int:
    """Bytes of a tensor with each symbol at 1."""
    return tensor.nbytes({size: 1 for size in tensor.shape if isinstance(size, str)})
