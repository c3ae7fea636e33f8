"""How much memory a stage needs, foretold from its network: what preflight adds up.

Activations are the most bytes of layer outputs that are alive at once when layers run in order, at given shapes, with
every output kept until its last use, and beside them what tactics take for themselves. Of what engines fuse two things
count, which may be most of all: the scores of attention, and products of one tensor. How far off that is stands in
docs/how-to/deploy.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from masklet.export.engines.network import Network
from masklet.export.engines.shapes import Shape
from masklet.runtime.backends.trt.library import WIDEST_FUSED_HEAD, TensorRT

if TYPE_CHECKING:
    import tensorrt as trt

PRODUCT, RESHAPE, DEQUANTIZE = "MATRIX_MULTIPLY", "SHUFFLE", "DEQUANTIZE"  # names of layers' types
HALVES = frozenset({"HALF", "BF16"})
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
    results: dict[str, list[trt.ITensor]] = {definition.get_output(i).name: [] for i in range(definition.num_outputs)}
    stored = _stored_by_fused_attention(layers) | results
    last_use = {t.name: at for at, layer in enumerate(layers) for t in _inputs(layer)}
    at_once = _products_at_once(layers)
    alive: dict[str, int] = {}
    total = peak = 0
    for at, layer in enumerate(layers):
        for output in at_once.get(layer.name, _outputs(layer) if layer.num_inputs else ()):
            alive[output.name] = sum(_nbytes(network.library, t) for t in stored.get(output.name, [output]))
            total += alive[output.name]
        peak = max(peak, total)
        for name in {t.name for t in _inputs(layer)}:
            if last_use[name] == at:
                total -= alive.pop(name, 0)
    return peak + TACTIC_BYTES


def _products_at_once(layers: "Sequence[trt.ILayer]") -> "dict[str, list[trt.ITensor]]":
    """What each product of a tensor and a weight makes, by the layer's name: the first one of a tensor makes all.

    Engines compute them as one, such as the keys of one memory for all layers.
    """
    weights: set[str] = set()
    first: dict[str, str] = {}
    made: dict[str, list[trt.ITensor]] = {}
    for layer in layers:
        given = _inputs(layer)
        if not given or (_kind(layer) in (RESHAPE, DEQUANTIZE) and given[0].name in weights):
            weights |= {tensor.name for tensor in _outputs(layer)}
        elif _kind(layer) == PRODUCT and given[1].name in weights:
            made[layer.name] = []
            made[first.setdefault(given[0].name, layer.name)] += _outputs(layer)
    return made


def _stored_by_fused_attention(layers: "Sequence[trt.ILayer]") -> "dict[str, list[trt.ITensor]]":
    """What attention that one kernel computes in tiles stores instead of its scores, by the scores' names: its operands
    once more, laid out as the kernel wants them.

    It is of halves, with values as wide as the queries. Found out with TensorRT for RTX 1.7: heads of 32 to 256
    channels are fused; wider ones are not, nor values of another width, nor FP32.
    """
    made_by = {tensor.name: layer for layer in layers for tensor in _outputs(layer)}
    read_by = {t.name: layer for layer in layers if _kind(layer) in (PRODUCT, RESHAPE) for t in _inputs(layer)[:1]}
    instead: dict[str, list[trt.ITensor]] = {}
    for softmax in (layer for layer in layers if _kind(layer) == "SOFTMAX"):
        scores, weights = softmax.get_input(0), [softmax.get_output(0)]
        compare, mix = made_by.get(scores.name), read_by.get(weights[0].name)
        if mix is not None and _kind(mix) == RESHAPE:  # to the shape that it has; the parser puts it there
            weights += _outputs(mix)
            mix = read_by.get(weights[-1].name)
        if compare is None or mix is None or (_kind(compare), _kind(mix)) != (PRODUCT, PRODUCT):
            continue
        query, mixed = compare.get_input(0), mix.get_output(0)
        if query.shape[-1] == mixed.shape[-1] <= WIDEST_FUSED_HEAD and mixed.dtype.name in HALVES:
            instead[scores.name] = [*_inputs(compare), mix.get_input(1)]
            instead |= {tensor.name: [] for tensor in weights}
    return instead


def _kind(layer: "trt.ILayer") -> str:
    return str(layer.type.name)


def _inputs(layer: "trt.ILayer") -> "list[trt.ITensor]":
    given = (layer.get_input(i) for i in range(layer.num_inputs))
    return [tensor for tensor in given if tensor is not None]


def _outputs(layer: "trt.ILayer") -> "list[trt.ITensor]":
    return [layer.get_output(i) for i in range(layer.num_outputs)]


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
