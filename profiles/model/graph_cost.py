"""Counts arithmetic and memory traffic of a stage's graph at given sizes.

Counted operators: Conv, ConvTranspose, MatMul, Gemm, Einsum, fused attention, and their integer forms. A multiplication
and an addition are two operations. Norms, activations and softmax are not counted, as in other counters. Bytes are
those of the operands and results of counted operators, each moved once; quantised ones at their stored width. The
scores of a fused attention never reach memory and do not count.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from masklet.profiles.model.graph_shapes import Shape, known_shapes, shaped_graph
from masklet.profiles.model.written_out import SCORES
from masklet.profiles.recording.timeline import Sizes
from masklet.runtime.bundle.spec import StageSpec

if TYPE_CHECKING:
    import onnx


class GraphCost(msgspec.Struct, frozen=True):
    """flops: operations; bytes: memory traffic of counted operators; uncounted: operators that cannot be counted."""

    flops: int
    bytes: int
    uncounted: tuple[str, ...] = ()


def graph_cost(path: Path, stage: StageSpec, sizes: Sizes, *, bf16: bool = False) -> GraphCost:
    """Count the graph at `path` of a stage whose symbols have these sizes. Raises like `shaped_graph`.

    bf16: the graph is computed in bfloat16, so its FP32 tensors take half of the bytes.
    """
    graph = shaped_graph(path, stage, sizes)
    shapes, widths = known_shapes(graph), _widths(graph)
    if bf16:
        widths = {name: 2 if width == 4 else width for name, width in widths.items()}
    stored = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "DequantizeLinear"}
    flops = moved = 0
    uncounted: list[str] = []
    for node in graph.node:
        standard = node.domain in ("", "ai.onnx")
        if standard and node.op_type not in COUNTED:
            continue
        tensors = [*_operands(node), node.output[0]] if standard else []
        if not standard or any(name not in shapes for name in tensors):
            uncounted.append(f"{node.op_type} {node.name}".strip())
            continue
        flops += COUNTED[node.op_type](node, shapes)
        moved += sum(_count(shapes[t]) * widths[stored.get(t, t)] for t in tensors if not t.endswith(SCORES))
    return GraphCost(flops, moved, tuple(uncounted))


def _operands(node: "onnx.NodeProto") -> Sequence[str]:
    """The two tensors that are multiplied."""
    first, second = (0, 3) if node.op_type.startswith("QLinear") else (0, 1)
    return node.input[first], node.input[second]


def _matmul(node: "onnx.NodeProto", shapes: Mapping[str, Shape]) -> int:
    return 2 * _count(shapes[node.output[0]]) * shapes[_operands(node)[0]][-1]


def _gemm(node: "onnx.NodeProto", shapes: Mapping[str, Shape]) -> int:
    turned = any(a.name == "transA" and a.i for a in node.attribute)
    return 2 * _count(shapes[node.output[0]]) * shapes[node.input[0]][0 if turned else 1]


def _conv(node: "onnx.NodeProto", shapes: Mapping[str, Shape]) -> int:
    weights = shapes[_operands(node)[1]]  # [out, in / groups, *kernel]
    return 2 * _count(shapes[node.output[0]]) * _count(weights[1:])


def _conv_transpose(node: "onnx.NodeProto", shapes: Mapping[str, Shape]) -> int:
    weights = shapes[node.input[1]]  # [in, out / groups, *kernel]
    return 2 * _count(shapes[node.input[0]]) * _count(weights[1:])


def _einsum(node: "onnx.NodeProto", shapes: Mapping[str, Shape]) -> int:
    """Every product that is summed: the elements of the result times the sizes of the axes that are summed over."""
    equation = next(a.s.decode() for a in node.attribute if a.name == "equation").replace(" ", "")
    terms, _, result = equation.partition("->")
    sizes: dict[str, int] = {}
    for term, name in zip(terms.split(","), node.input, strict=True):
        letters = term.rpartition("...")[2]  # what stands before an ellipsis counts from the left: none of ours has it
        sizes |= dict(zip(reversed(letters), reversed(shapes[name]), strict=False))
    summed = [size for letter, size in sizes.items() if letter not in result]
    return 2 * _count(shapes[node.output[0]]) * _count(tuple(summed))


COUNTED: dict[str, Callable[[Any, Mapping[str, Shape]], int]] = {
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "QLinearMatMul": _matmul,
    "Einsum": _einsum,
    "Gemm": _gemm,
    "Conv": _conv,
    "ConvInteger": _conv,
    "QLinearConv": _conv,
    "ConvTranspose": _conv_transpose,
}


def _widths(graph: "onnx.GraphProto") -> dict[str, int]:
    """Bytes per element, by tensor."""
    from onnx import helper

    types = {t.name: t.data_type for t in graph.initializer}
    types |= {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.output, *graph.value_info)}
    return {name: int(np.dtype(helper.tensor_dtype_to_np_dtype(code)).itemsize) for name, code in types.items()}


def _count(shape: Shape) -> int:
    return int(np.prod(shape, dtype=np.int64))
