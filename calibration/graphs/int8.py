"""Quantises graphs to INT8 with explicit Q/DQ nodes, which ONNX Runtime runs and TensorRT builds.

Signed and symmetric: weights per output channel, stored as int8; activations per tensor. The inputs of Conv and of
products with weights are quantised. A Q node stands at the input of its consumer, never after the producer, and biases
are not quantised: TensorRT fuses this form and refuses int32 biases. The products inside attention, LayerNorm, Softmax,
GELU and residual sums stay in the higher type.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from masklet.calibration.graphs.stage_graph import constant, drop_unused, initializers, readers, replace_nodes
from onnx import TensorProto, helper, numpy_helper

LEVELS = 127
WEIGHT = ".weight"  # part of the name of a linear layer's matrix, which the exporter transposes
LEAST_CHANNELS = 16  # minimum number of summed channels; images and masks have fewer, and engines pad them to this
LEAST_SCALE = float(np.finfo(np.float16).smallest_normal)  # smaller FP16 scales would lose digits


def weighted_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes to quantise: convolutions and linear layers.

    A product with a constant matrix is a linear layer if the name of the matrix says so, or if a bias is added; other
    products encode positions or resample. Depthwise convolutions gain nothing from INT8.
    """
    constants = initializers(graph)
    read_by = readers(graph)

    def is_layer(node: onnx.NodeProto) -> bool:
        if node.op_type not in ("Conv", "MatMul") or node.input[1] not in constants or node.input[0] in constants:
            return False
        dims = constants[node.input[1]].dims
        if node.op_type == "Conv":
            alone = all(a.i == 1 for a in node.attribute if a.name == "group")
            return alone and dims[1] >= LEAST_CHANNELS
        after = read_by.get(node.output[0], [])
        biased = len(after) == 1 and after[0].op_type == "Add" and any(n in constants for n in after[0].input)
        return len(dims) == 2 and dims[0] >= LEAST_CHANNELS and (biased or WEIGHT in node.input[1])

    return [node for node in graph.node if is_layer(node)]


def quantise(model: onnx.ModelProto, nodes: set[str], limits: Mapping[str, float], *, half_scales: bool) -> None:
    """Insert Q/DQ before the named nodes, in place.

    nodes:       names of nodes with weights.
    limits:      for each of their activations, the magnitude that maps to 127.
    half_scales: round scales to FP16, for a graph that is converted to FP16 afterwards.
    """
    graph = model.graph
    constants = initializers(graph)
    scale_type = np.float16 if half_scales else np.float32
    placed: list[onnx.NodeProto] = []
    done: set[str] = set()
    for node in graph.node:
        if node.name in nodes:
            activation, weight = node.input[:2]
            if activation not in done:
                done.add(activation)
                placed.extend(_activation(graph, activation, limits[activation], scale_type))
            if weight not in done:
                done.add(weight)
                axis = 0 if node.op_type == "Conv" else 1
                placed.append(_weight(graph, weight, numpy_helper.to_array(constants[weight]), axis, scale_type))
            node.input[0], node.input[1] = _dequantised(activation), _dequantised(weight)
        placed.append(node)
    replace_nodes(graph, placed)
    drop_unused(graph)


def quantised_weight(
    weight: npt.NDArray[Any], axis: int, scale_type: type[np.floating[Any]]
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Quantise a weight to int8 along the axis of output channels. Returns the numbers and the scale per channel."""
    others = tuple(a for a in range(weight.ndim) if a != axis)
    scale = _scale(np.abs(weight).max(axis=others), scale_type)
    shape = [-1 if a == axis else 1 for a in range(weight.ndim)]
    levels = np.clip(np.rint(weight / scale.reshape(shape)), -LEVELS, LEVELS)
    return levels.astype(np.int8), scale


def _scale(limit: npt.ArrayLike, scale_type: type[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """The quantisation step, rounded to a number of the scale's type."""
    step = np.maximum(np.asarray(limit, np.float32) / LEVELS, LEAST_SCALE)
    return step.astype(scale_type).astype(np.float32)


def _activation(
    graph: onnx.GraphProto, name: str, limit: float, scale_type: type[np.floating[Any]]
) -> list[onnx.NodeProto]:
    scale = constant(graph, f"{name}_scale", _scale(limit, scale_type))
    zero = constant(graph, "int8_zero", np.array(0, np.int8))
    return [
        helper.make_node("QuantizeLinear", [name, scale, zero], [f"{name}_int8"], f"{name}_quantize"),
        helper.make_node("DequantizeLinear", [f"{name}_int8", scale, zero], [_dequantised(name)], f"{name}_dequantize"),
    ]


def _weight(
    graph: onnx.GraphProto, name: str, weight: npt.NDArray[Any], axis: int, scale_type: type[np.floating[Any]]
) -> onnx.NodeProto:
    levels, steps = quantised_weight(weight, axis, scale_type)
    stored = constant(graph, f"{name}_int8", levels)
    scale = constant(graph, f"{name}_scale", steps)
    return helper.make_node("DequantizeLinear", [stored, scale], [_dequantised(name)], f"{name}_dequantize", axis=axis)


def _dequantised(name: str) -> str:
    return f"{name}_dequantized"


def store_constants_as_half(graph: onnx.GraphProto, least: int) -> None:
    """Store large FP32 constants as FP16 with a cast, in place; engines fold the cast when they load the graph.

    least: minimum number of elements. Constants that would overflow in FP16 stay FP32.
    """
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or int(np.prod(tensor.dims)) < least:
            continue
        half = numpy_helper.to_array(tensor).astype(np.float16)
        if np.isfinite(half).all():
            casts.append(helper.make_node("Cast", [f"{tensor.name}_half"], [tensor.name], f"{tensor.name}_widen", to=1))
            tensor.CopyFrom(numpy_helper.from_array(half, f"{tensor.name}_half"))
    replace_nodes(graph, [*casts, *graph.node])
