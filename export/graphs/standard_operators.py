"""Replaces ONNX Runtime's fused operators by standard ones, for all other engines.

A stage is traced with com.microsoft.MultiHeadAttention and RotaryEmbedding, which ONNX Runtime's CPU runs in one pass;
the second graph, for TensorRT and others, has MatMul, Softmax etc. instead.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import ExportError
from onnx import helper, numpy_helper

CONTRIB = "com.microsoft"


def plain(fused: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with every fused operator replaced by standard ones.

    Raises ExportError for an operator without a known replacement.
    """
    model = onnx.ModelProto()
    model.CopyFrom(fused)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        if node.domain != CONTRIB:
            model.graph.node.append(node)
        elif node.op_type == "MultiHeadAttention":
            model.graph.node.extend(_attention(model.graph, node))
        elif node.op_type == "RotaryEmbedding":
            model.graph.node.extend(_rotation(model.graph, node))
        else:
            raise ExportError(f"operator {node.domain}.{node.op_type} has no replacement in standard operators")
    used = {name for node in model.graph.node for name in node.input}
    for tensor in [t for t in model.graph.initializer if t.name not in used]:
        model.graph.initializer.remove(tensor)
    kept = [o for o in model.opset_import if o.domain != CONTRIB]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    return model


def _attention(graph: onnx.GraphProto, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """softmax(scale Q K^T) V for each head. Q is scaled before the product, to avoid overflow in FP16."""
    heads, scale = attribute(node, "num_heads"), attribute(node, "scale")
    name, (query, key, value) = node.name, node.input[:3]
    split = _constant(graph, f"heads_{heads}", np.array([0, 0, heads, -1], np.int64))
    join = _constant(graph, "heads_joined", np.array([0, 0, -1], np.int64))
    factor = _constant(graph, f"{name}_scale", np.array(scale, np.float32))
    order = {"q": [0, 2, 1, 3], "k": [0, 2, 3, 1], "v": [0, 2, 1, 3]}
    yield helper.make_node("Mul", [query, factor], [f"{name}_scaled"], f"{name}_scale_query")
    for short, tensor in (("q", f"{name}_scaled"), ("k", key), ("v", value)):
        yield helper.make_node("Reshape", [tensor, split], [f"{name}_{short}_split"], f"{name}_split_{short}")
        yield helper.make_node(
            "Transpose", [f"{name}_{short}_split"], [f"{name}_{short}"], f"{name}_order_{short}", perm=order[short]
        )
    yield helper.make_node("MatMul", [f"{name}_q", f"{name}_k"], [f"{name}_scores"], f"{name}_compare")
    yield helper.make_node("Softmax", [f"{name}_scores"], [f"{name}_weights"], f"{name}_softmax", axis=-1)
    yield helper.make_node("MatMul", [f"{name}_weights", f"{name}_v"], [f"{name}_mixed"], f"{name}_mix")
    yield helper.make_node(
        "Transpose", [f"{name}_mixed"], [f"{name}_by_query"], f"{name}_order_mixed", perm=[0, 2, 1, 3]
    )
    yield helper.make_node("Reshape", [f"{name}_by_query", join], [node.output[0]], f"{name}_join")


def _rotation(graph: onnx.GraphProto, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """Halves (a, b) of each head to (a cos - b sin, b cos + a sin), with tables [positions, d / 2] for all heads.

    The second input is the first row of the tables, as a constant of one value, or the row of each position.
    """
    heads, name = attribute(node, "num_heads"), node.name
    turned, rows, cos, sin = node.input
    rotated = node.output[0]
    of_heads = 1
    if all(tensor.name != rows for tensor in graph.initializer):
        of_heads = 2
        yield helper.make_node("Gather", [cos, rows], [f"{name}_cos_rows"], f"{name}_cos_of_rows", axis=0)
        yield helper.make_node("Gather", [sin, rows], [f"{name}_sin_rows"], f"{name}_sin_of_rows", axis=0)
        cos, sin = f"{name}_cos_rows", f"{name}_sin_rows"
    if heads > 1:
        split = _constant(graph, f"heads_{heads}", np.array([0, 0, heads, -1], np.int64))
        axis = _constant(graph, "of_heads" if of_heads == 1 else "rows_of_heads", np.array([of_heads], np.int64))
        yield helper.make_node("Reshape", [turned, split], [f"{name}_by_head"], f"{name}_split")
        yield helper.make_node("Unsqueeze", [cos, axis], [f"{name}_cos"], f"{name}_cos_of_heads")
        yield helper.make_node("Unsqueeze", [sin, axis], [f"{name}_sin"], f"{name}_sin_of_heads")
        turned, cos, sin, rotated = f"{name}_by_head", f"{name}_cos", f"{name}_sin", f"{name}_heads"
    one, other = f"{name}_one", f"{name}_other"
    yield helper.make_node("Split", [turned], [one, other], f"{name}_halves", axis=-1, num_outputs=2)
    for half, table, product in ((one, cos, "ac"), (other, sin, "bs"), (other, cos, "bc"), (one, sin, "as")):
        yield helper.make_node("Mul", [half, table], [f"{name}_{product}"], f"{name}_times_{product}")
    yield helper.make_node("Sub", [f"{name}_ac", f"{name}_bs"], [f"{name}_first"], f"{name}_first_half")
    yield helper.make_node("Add", [f"{name}_bc", f"{name}_as"], [f"{name}_second"], f"{name}_second_half")
    yield helper.make_node("Concat", [f"{name}_first", f"{name}_second"], [rotated], f"{name}_whole", axis=-1)
    if heads > 1:
        join = _constant(graph, "heads_joined", np.array([0, 0, -1], np.int64))
        yield helper.make_node("Reshape", [rotated, join], [node.output[0]], f"{name}_join")


def attribute(node: onnx.NodeProto, name: str) -> int | float:
    """A numeric attribute of a node; every operator traced here sets it."""
    value: int | float = next(helper.get_attribute_value(a) for a in node.attribute if a.name == name)
    return value


def _constant(graph: onnx.GraphProto, name: str, value: Tensor) -> str:
    if all(t.name != name for t in graph.initializer):
        graph.initializer.append(numpy_helper.from_array(value, name))
    return name
