"""Estimates the memory of a stage from its TensorRT network, for the preflight check.

Activations: the maximum number of bytes of layer outputs alive at the same time, when layers run in order at given
shapes and every output is kept until its last use, plus scratch memory of tactics. Two fusions of engines are taken
into account, because they can dominate: the scores of attention, and several products with one tensor. For the error of
the estimate see docs/how-to/deploy.md.
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

PRODUCT, RESHAPE, DEQUANTIZE = "MATRIX_MULTIPLY", "SHUFFLE", "DEQUANTIZE"  # names of layer types
HALVES = frozenset({"HALF", "BF16"})
TACTIC_BYTES = 16 << 20  # scratch memory that even engines of the smallest stages need
CONTEXT_BYTES = 400 << 20  # the driver's context and TensorRT's libraries on the device


@dataclass(frozen=True, slots=True)
class StageMemory:
    """Bytes of the engine of one stage. weights: of its graph. activations: at the usual and at the largest shapes."""

    weights: int
    activations: tuple[int, int]


def activation_bytes(network: Network, shapes: Mapping[str, Shape]) -> int:
    """Bytes of scratch memory at these input shapes.

    This changes the input shapes of the network permanently: parse the graph again to build.
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
    """The tensors that each product of a tensor and a weight produces, by layer name.

    Engines compute all products of one tensor at once, such as the keys of a memory for all layers; they are listed at
    the first one.
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
    """The tensors that fused attention stores instead of its scores, by name of the scores: copies of its operands in
    the layout of the kernel.

    Attention is fused in FP16 with values as wide as the queries. Measured with TensorRT for RTX 1.7: heads of 32 to
    256 channels are fused; wider heads, values of another width, and FP32 are not.
    """
    made_by = {tensor.name: layer for layer in layers for tensor in _outputs(layer)}
    read_by = {t.name: layer for layer in layers if _kind(layer) in (PRODUCT, RESHAPE) for t in _inputs(layer)[:1]}
    instead: dict[str, list[trt.ITensor]] = {}
    for softmax in (layer for layer in layers if _kind(layer) == "SOFTMAX"):
        scores, weights = softmax.get_input(0), [softmax.get_output(0)]
        compare, mix = made_by.get(scores.name), read_by.get(weights[0].name)
        if mix is not None and _kind(mix) == RESHAPE:  # a reshape to the same shape, which the parser inserts
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
    """Bytes of a tensor; 0 if its shape depends on values that are known only at run time."""
    try:
        sizes = tuple(tensor.shape)
    except ValueError:
        return 0
    if min(sizes, default=0) < 0:
        return 0
    try:
        width = np.dtype(library.nptype(tensor.dtype)).itemsize
    except TypeError:  # bfloat16, which numpy lacks
        width = 2
    return int(np.prod(sizes, dtype=np.int64)) * width
