"""Attention of FP16 in the shape for which TensorRT has fused kernels: values as wide as queries and keys.

Where they are narrower, as in the attention to memories whose value projection is absorbed (64 channels beside 256), it
writes the scores out: 0.6 GB in hiera-tiny's memory attention for one object with seven memories, 9 GB for eight with
fourteen. Zeros beside the values cost products, and spare that. In FP32 it has no fused kernels.
"""

import numpy as np
import onnx
from masklet.calibration.graphs.stage_graph import constant, makers, replace_nodes
from masklet.runtime.backends.trt.library import WIDEST_FUSED_HEAD
from onnx import helper


def widen_values(model: onnx.ModelProto) -> None:
    """Pad the values of every attention of a graph with standard operators to the queries' width, in place.

    It is softmax(Q K^T) V in the form of export/standard_operators.py, [batch, heads, rows, channels]. Attentions to
    the same values share the padded ones.
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
    """Channels of the values and of the queries of an attention, by the node that mixes its values; else 0 and 0."""
    softmax = made_by.get(node.input[0]) if node.op_type == "MatMul" else None
    if softmax is None or softmax.op_type != "Softmax":
        return 0, 0
    compare = made_by.get(softmax.input[0])
    if compare is None or compare.op_type != "MatMul":
        return 0, 0
    return channels.get(node.output[0], 0), channels.get(compare.input[0], 0)


def _source(value: str, made_by: dict[str, onnx.NodeProto]) -> tuple[str, ...]:
    """What values are split into heads from, and how: each attention does it by itself."""
    order = made_by.get(value)
    split = made_by.get(order.input[0]) if order is not None and order.op_type == "Transpose" else None
    return tuple(split.input) if split is not None and split.op_type == "Reshape" else (value,)
