"""ONNX Runtime's own operators, written out in standard ones of the same arithmetic, whose shapes can be inferred.

Weights and values do not matter here, only shapes and types. So what does no counted arithmetic (a rotation, an
activation, a norm) becomes an Identity of its first input.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

SCORES = "_masklet_scores"  # marks the tensor between the two products of a fused attention
SAME_SHAPE = ("RotaryEmbedding", "BiasGelu", "FastGelu", "QuickGelu", "Gelu", "QuantizeLinear", "DequantizeLinear")
Nodes = Iterator["onnx.NodeProto"]


def write_out(graph: "onnx.GraphProto") -> None:
    """Replace each operator of ONNX Runtime that is known here by standard ones, in place; others stay."""
    nodes = [list(_written_out(node)) for node in graph.node]
    del graph.node[:]
    graph.node.extend(chain.from_iterable(nodes))


def _written_out(node: "onnx.NodeProto") -> Nodes:
    write = KNOWN.get(node.op_type) if node.domain == "com.microsoft" else None
    return iter([node]) if write is None else write(node)


def _attention(node: "onnx.NodeProto") -> Nodes:
    """Queries [B, Sq, H], keys [B, Sk, H] and values [B, Sk, V] of all heads side by side cost what they cost apart."""
    query, key, value = node.input[:3]
    turned, scores = f"{node.output[0]}_keys", f"{node.output[0]}{SCORES}"
    yield _node("Transpose", [key], turned, perm=[0, 2, 1])
    yield _node("MatMul", [query, turned], scores)
    yield _node("MatMul", [scores, value], node.output[0], node.name)


def _fused_product(node: "onnx.NodeProto") -> Nodes:
    """A product that may transpose the last two axes of an operand first; its scale changes no shape."""
    given = {a.name: a.i for a in node.attribute}
    if given.get("transBatchA") or given.get("transBatchB"):
        yield node  # none of our graphs has it: it stays, and is reported as not counted
    else:
        first, second = "ji" if given.get("transA") else "ij", "kj" if given.get("transB") else "jk"
        equation = f"...{first},...{second}->...ik"
        yield _node("Einsum", node.input[:2], node.output[0], node.name, equation=equation)


def _integer_product(node: "onnx.NodeProto") -> Nodes:
    """8-bit operands, a 32-bit product, and what brings it back to FP32."""
    product = f"{node.output[0]}_integers"
    yield _node("MatMulInteger", node.input[:2], product, node.name)
    yield _node("Cast", [product], node.output[0], to=1)


def _same_shape(node: "onnx.NodeProto") -> Nodes:
    yield _node("Identity", node.input[:1], node.output[0], node.name)


def _node(kind: str, inputs: Any, output: str, name: str = "", **attributes: Any) -> "onnx.NodeProto":
    from onnx import helper

    return helper.make_node(kind, list(inputs), [output], name, **attributes)


KNOWN: dict[str, Callable[["onnx.NodeProto"], Nodes]] = {
    "MultiHeadAttention": _attention,
    "FusedMatMul": _fused_product,
    "MatMulIntegerToFloat": _integer_product,
    **dict.fromkeys(SAME_SHAPE, _same_shape),
}
