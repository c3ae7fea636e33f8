"""config.pbtxt: a stage as Triton is told of it, from the stage's declaration.

Fields are those of `ModelConfig` in Triton's model_config.proto, written as protobuf's text format.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from masklet.runtime.bundle.manifest import Artifact, graph_hash
from masklet.runtime.bundle.served_model import ServedModel
from masklet.runtime.bundle.spec import MemorySpec, StageSpec, TensorSpec

Device = Literal["cpu", "gpu", "auto"]
DATA_TYPES = {
    "float32": "TYPE_FP32",
    "float16": "TYPE_FP16",
    "uint8": "TYPE_UINT8",
    "int8": "TYPE_INT8",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "bool": "TYPE_BOOL",
}
ANY = -1  # a size that a request decides
VERSIONS = "version_policy { all { } }"  # a version is a hash, so that none is the latest


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server runs each stage.

    device:    where instances run; "auto" lets Triton choose.
    instances: of each stage, on each GPU if it runs there.
    max_batch: most objects or phrases of a request, for stages that are batched.
    delay_us:  how long a request waits for others to be batched with, in microseconds.
    """

    device: Device = "auto"
    instances: int = 1
    max_batch: int = 64
    delay_us: int = 0


def stage_config(
    stage: StageSpec, artifact: Artifact, model: ServedModel, memory: MemorySpec | None, options: ServerOptions
) -> str:
    """The config.pbtxt of a stage. memory: the model's, for a warm-up with a full memory bank."""
    batch = batch_symbol(stage)
    engine = "tensorrt" if artifact.built_for else "onnxruntime"
    return "\n".join(
        [
            f'name: "{model.name}"',
            f'backend: "{engine}"',
            f'default_model_filename: "{artifact.files[0].path.rpartition("/")[2]}"',
            f"max_batch_size: {options.max_batch if batch else 0}",
            VERSIONS,
            *tensors("input", stage.inputs, batch),
            *tensors("output", stage.outputs, batch),
            *([f"dynamic_batching {{ max_queue_delay_microseconds: {options.delay_us} }}"] if batch else []),
            f"instance_group {{ kind: KIND_{options.device.upper()} count: {options.instances} }}",
            _parameter("graph_sha256", graph_hash(artifact)),
            _parameter("precision", artifact.precision),
            *_warm_ups(stage, memory, batch),
            "",
        ]
    )


def batch_symbol(stage: StageSpec) -> str | None:
    """The symbol that is the first axis of every tensor of a stage, and no other; None if there is none.

    Requests of such a stage can be put together along that axis. A tensor of nothing but that axis rules it out: to
    Triton a batch of scalars is [batch, 1], which is not what the stage declares.
    """
    every = (*stage.inputs, *stage.outputs)
    firsts = {tensor.shape[0] if len(tensor.shape) > 1 else None for tensor in every}
    first = next(iter(firsts))
    if len(firsts) != 1 or not isinstance(first, str):
        return None
    return None if any(first in tensor.shape[1:] for tensor in every) else first


def tensors(kind: str, specs: Sequence[TensorSpec], batch: str | None = None) -> Iterable[str]:
    """The `input` or `output` of each tensor. batch: the symbol of the first axis, which Triton adds by itself."""
    for spec in specs:
        shape = spec.shape[1:] if batch else spec.shape
        dims = [size if isinstance(size, int) else ANY for size in shape]
        yield f'{kind} {{ name: "{spec.name}" data_type: {DATA_TYPES[spec.dtype]} dims: {dims} }}'


def _parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'


def _warm_ups(stage: StageSpec, memory: MemorySpec | None, batch: str | None) -> Iterable[str]:
    """Requests of zeros that are run before the stage is ready: with a single memory, and with a full memory bank."""
    full = {} if memory is None else {"memories": 1 + memory.recent_frames, "pointers": memory.pointers}
    sizes = [dict.fromkeys(stage.symbols(), 1)]
    sizes += [sizes[0] | full] if full.keys() & sizes[0].keys() else []
    for name, of in zip(("first_frame", "full_memory"), sizes, strict=False):
        inputs = []
        for spec in stage.inputs:
            dims = list(spec.sized(of))[1 if batch else 0 :]
            what = f"data_type: {DATA_TYPES[spec.dtype]} dims: {dims} zero_data: true"
            inputs.append(f'inputs {{ key: "{spec.name}" value {{ {what} }} }}')
        yield f'model_warmup {{ name: "{name}" batch_size: {1 if batch else 0} {" ".join(inputs)} }}'
