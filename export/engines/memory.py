"""How much memory a stage needs, foretold from its network: what preflight adds up.

Activations are the most bytes of layer outputs that are alive at once when layers run in order, at given shapes, with
nothing fused and every output kept until its last use, and beside them what tactics take for themselves. Fusing needs
less. How far off that is stands in docs/deploy.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from masklet.export.engines.network import Network
from masklet.export.engines.shapes import Shape
from masklet.runtime.backends.tensorrt_library import TensorRT

if TYPE_CHECKING:
    import tensorrt as trt

TACTIC_BYTES = 16 << 20  # scratch that engines of the smallest stages need, too
CONTEXT_BYTES = 400 << 20  # the driver's context and TensorRT's own libraries, on the device


@dataclass(frozen=True, slots=True)
class StageMemory:
    """Bytes of one stage's engine. weights: of its graph. activations: at the usual and at the largest shapes."""

    weights: int
    activations: tuple[int, int]


def activation_bytes(network: Network, shapes: Mapping[str, Shape]) -> int:
    """Bytes of scratch memory at these input shapes.

    The network's inputs get these shapes for good: parse anew for building.
    """
    definition = network.definition
    for i in range(definition.num_inputs):
        given = definition.get_input(i)
        given.shape = network.library.Dims(list(shapes[given.name]))
    layers = [definition.get_layer(i) for i in range(definition.num_layers)]
    results = {definition.get_output(i).name for i in range(definition.num_outputs)}
    last_use = {t.name: at for at, layer in enumerate(layers) for t in _inputs(layer)}
    alive: dict[str, int] = {}
    total = peak = 0
    for at, layer in enumerate(layers):
        if layer.num_inputs:
            for output in (layer.get_output(i) for i in range(layer.num_outputs)):
                alive[output.name] = 0 if output.name in results else _nbytes(network.library, output)
                total += alive[output.name]
        peak = max(peak, total)
        for name in {t.name for t in _inputs(layer)}:
            if last_use[name] == at:
                total -= alive.pop(name, 0)
    return peak + TACTIC_BYTES


def _inputs(layer: "trt.ILayer") -> "list[trt.ITensor]":
    given = (layer.get_input(i) for i in range(layer.num_inputs))
    return [tensor for tensor in given if tensor is not None]


def _nbytes(library: TensorRT, tensor: "trt.ITensor") -> int:
    """Bytes of a tensor; 0 where its shape follows from values that only a run knows."""
    try:
        sizes = tuple(tensor.shape)
    except ValueError:
        return 0
    if min(sizes, default=0) < 0:
        return 0
    try:
        width = np.dtype(library.nptype(tensor.dtype)).itemsize
    except TypeError:  # bfloat16, which numpy does not have
        width = 2
    return int(np.prod(sizes, dtype=np.int64)) * width
