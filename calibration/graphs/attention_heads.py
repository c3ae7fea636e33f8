"""Shapes FP16 attention for TensorRT's fused kernels, which need values as wide as queries and keys.

With narrower values, as in memory attention with its absorbed value projection (64 channels instead of 256), TensorRT
stores the scores: 0.6 GB in hiera-tiny's memory attention for one object with seven memories, 9 GB for eight objects
with fourteen. Padding the values with zeros costs additional products and avoids this. In FP32 TensorRT has no fused
kernels.
"""

import numpy as np
import onnx
from masklet.calibration.graphs.stage_graph import constant, makers, replace_nodes
from masklet.runtime.backends.trt.library import WIDEST_FUSED_HEAD
from onnx import helper


def widen_values(model: onnx.ModelProto) -> None:
    """Pad the values of every attention of a graph with standard operators to the width of the queries, in place.

    Attention is softmax(Q K^T) V in the form of export/graphs/standard_operators.py, [batch, heads, rows, channels].
    Attentions with the same values share the padded ones.
    """
    graph = model.graph
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.value_info
    channels = {v.name: v.type.tensor_type.shape.dim[-1].dim_value for v in inferred if v.type.tensor_type.shape.dim}
    made_by = makers(graph)
    wide_values: dict[tuple[str, ...], str] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        narrow, wide = _widths(node, made_by, channels)
        if not 0 < narrow < wide <= WIDEST_FUSED_HEAD:
            nodes.append(node)
            continue
        weights, value = node.input
        mixed, source = node.output[0], _source(value, made_by)
        if source not in wide_values:
            wide_values[source] = f"{value}_wide"
            zeros = constant(graph, f"{node.name}_zeros", np.array([0] * 7 + [wide - narrow], np.int64))
            nodes.append(helper.make_node("Pad", [value, zeros], [f"{value}_wide"], f"{node.name}_widen"))
        first, end, axis = (constant(graph, f"values_{x}", np.array([x], np.int64)) for x in (0, narrow, 3))
        nodes += [
            helper.make_node("MatMul", [weights, wide_values[source]], [f"{mixed}_wide"], node.name),
            helper.make_node("Slice", [f"{mixed}_wide", first, end, axis], [mixed], f"{node.name}_narrow"),
        ]
    replace_nodes(graph, nodes)


def _widths(node: onnx.NodeProto, made_by: dict[str, onnx.NodeProto], channels: dict[str, int]) -> tuple[int, int]:
    """Channels of the values and of the queries of an attention. node: its second product. Otherwise 0 and 0."""
    softmax = made_by.get(node.input[0]) if node.op_type == "MatMul" else None
    if softmax is None or softmax.op_type != "Softmax":
        return 0, 0
    compare = made_by.get(softmax.input[0])
    if compare is None or compare.op_type != "MatMul":
        return 0, 0
    return channels.get(node.output[0], 0), channels.get(compare.input[0], 0)


def _source(value: str, made_by: dict[str, onnx.NodeProto]) -> tuple[str, ...]:
    """The tensor that values are split into heads from, and how; each attention has its own nodes for that."""
    order = made_by.get(value)
    split = made_by.get(order.input[0]) if order is not None and order.op_type == "Transpose" else None
    return tuple(split.input) if split is not None and split.op_type == "Reshape" else (value,)
