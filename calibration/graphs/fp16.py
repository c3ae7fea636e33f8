"""Converts graphs to FP16, with islands that stay FP32.

Inputs and outputs keep their types, so stages of different precision fit together. Always FP32: the computation of
positions (pixels and times would lose digits in FP16), sines, Resize, and rounding to bfloat16. LayerNormalization sums
in FP32 anyway (stash_type). Nodes of a tensor whose recorded magnitude comes near the largest FP16 number stay FP32,
too.

ONNX Runtime's CPU provider computes FP16 graphs in FP32 and omits the rounding between nodes, including overflow. The
loss of accuracy is therefore measured on a second graph, `rounded`: FP32 with every tensor rounded to FP16 after the
node that produces it.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from masklet.calibration.graphs.stage_graph import drop_unused, initializers, replace_nodes
from onnx import TensorProto, helper, numpy_helper

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
LARGEST = float(np.finfo(np.float16).max)
HEADROOM = 4.0  # other frames may exceed the recorded magnitudes by this factor
FROM_POSITIONS = frozenset({"Sin", "Cos"})
FEATURES = "LayerNormalization"
STAYS = frozenset({"Resize", "Constant", "ConstantOfShape"}) | FROM_POSITIONS


def overflowing(magnitudes: Mapping[str, float]) -> dict[str, float]:
    """The tensors whose largest recorded magnitude comes near the largest FP16 number."""
    return {name: largest for name, largest in magnitudes.items() if largest > LARGEST / HEADROOM}


def islands(model: onnx.ModelProto, near_overflow: Iterable[str], kept: Iterable[str] = ()) -> set[str]:
    """The nodes of a graph with standard operators that stay FP32.

    near_overflow: tensors that may overflow in FP16.
    kept:          nodes that stay FP32 for other reasons.
    """
    graph = model.graph
    constants = initializers(graph)
    too_large = set(near_overflow) | {name for name, tensor in constants.items() if _exceeds(tensor)}
    named = {n.name for n in graph.node if n.op_type in STAYS or _rounds_to_bfloat16(n, graph)}
    named |= {n.name for n in graph.node if too_large & {*n.input, *n.output}}
    return named | _positions(graph) | set(kept)


def to_half(model: onnx.ModelProto, types: Mapping[str, int], stay: set[str]) -> set[str]:
    """Convert a graph to FP16, in place. Returns the tensors that are now FP16.

    types: element type of each tensor (from the graph with standard operators, which names all of them).
    stay:  names of nodes that stay FP32; a fused node stays if any node that it replaces does.
    """
    graph = model.graph
    converted = _Converted(graph, types)
    for node in list(graph.node):
        fused = node.domain and any(name.startswith(f"{node.name}_") for name in stay)
        converted.add(node, FLOAT if fused or node.name in stay else HALF)
    replace_nodes(graph, converted.nodes)
    graph.initializer.extend(converted.constants)
    drop_unused(graph)
    return converted.halves


def rounded(model: onnx.ModelProto, halves: set[str]) -> None:
    """Turn an FP16 graph into one that computes in FP32 and rounds each tensor of `halves` to FP16, in place."""
    graph = model.graph
    for tensor in graph.initializer:
        if tensor.data_type == HALF:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    nodes = []
    for node in graph.node:
        made = [name for name in node.output if name in halves]
        if node.op_type == "Cast" and made:
            node.attribute[0].i = FLOAT
        node.output[:] = [f"{name}_exact" if name in halves else name for name in node.output]
        nodes.append(node)
        for name in made:
            nodes.append(helper.make_node("Cast", [f"{name}_exact"], [f"{name}_rounded"], f"{name}_round", to=HALF))
            nodes.append(helper.make_node("Cast", [f"{name}_rounded"], [name], f"{name}_back", to=FLOAT))
    replace_nodes(graph, nodes)


class _Converted:
    """The converted nodes of a graph, in order, with the casts between them.

    A tensor has its own name in the type that its node produces. In the other type it has a second name, and one cast
    for all readers (TensorRT refuses two nodes that produce the same name).
    """

    def __init__(self, graph: onnx.GraphProto, types: Mapping[str, int]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.halves: set[str] = set()
        self._types = types
        self._constants = initializers(graph)
        self._outputs = {output.name for output in graph.output}
        self._names: dict[tuple[str, int], str] = {(value.name, FLOAT): value.name for value in graph.input}
        self._made_as: dict[str, int] = {value.name: FLOAT for value in graph.input}

    def add(self, node: onnx.NodeProto, want: int) -> None:
        """Add a node that computes in type `want`, if it works on floats at all."""
        for index, name in enumerate(node.input):
            if name and self._types.get(name) == FLOAT:
                node.input[index] = self._as(name, _input_type(node, index, want))
        floats = [index for index, name in enumerate(node.output) if self._types.get(name) == FLOAT]
        if node.op_type == "Cast" and floats and want == HALF:
            node.attribute[0].i = HALF
        self.nodes.append(node)
        for index in floats:
            self._made(node, index, want)

    def _made(self, node: onnx.NodeProto, index: int, made_as: int) -> None:
        name = node.output[index]
        own_name = name
        if name in self._outputs and made_as == HALF:
            own_name = f"{name}_half"
            node.output[index] = own_name
        self._names[name, made_as] = own_name
        self._made_as[name] = made_as
        if made_as == HALF:
            self.halves.add(own_name)
        if own_name != name:
            self._as(name, FLOAT, name)

    def _as(self, name: str, want: int, called: str | None = None) -> str:
        """The name of a tensor in a type; adds a cast or constant if there is none yet."""
        if (name, want) not in self._names:
            other = called or f"{name}_{'half' if want == HALF else 'float'}"
            if name not in self._constants:
                source = self._names[name, self._made_as[name]]
                self.halves |= {other} if want == HALF else set()
                self.nodes.append(helper.make_node("Cast", [source], [other], f"{other}_cast", to=want))
            elif want == HALF:
                value = numpy_helper.to_array(self._constants[name]).astype(np.float16)
                self.constants.append(numpy_helper.from_array(value, other))
            else:
                other = name
            self._names[name, want] = other
        return self._names[name, want]


def _input_type(node: onnx.NodeProto, index: int, want: int) -> int:
    return FLOAT if node.op_type == "Resize" and index > 0 else want


def _exceeds(tensor: TensorProto) -> bool:
    if tensor.data_type != FLOAT:
        return False
    value = numpy_helper.to_array(tensor)
    return bool(value.size and np.abs(value).max() > LARGEST)


def _rounds_to_bfloat16(node: onnx.NodeProto, graph: onnx.GraphProto) -> bool:
    """Whether a node is one of the two casts of rounding: to bfloat16, or back."""
    if node.op_type != "Cast":
        return False
    from_bfloat16 = any(
        other.op_type == "Cast" and other.attribute[0].i == TensorProto.BFLOAT16 and other.output[0] == node.input[0]
        for other in graph.node
    )
    return from_bfloat16 or node.attribute[0].i == TensorProto.BFLOAT16


def _positions(graph: onnx.GraphProto) -> set[str]:
    """Sines and the nodes that compute their arguments, back to a normalisation of features.

    SAM 3's detector moves its boxes in every layer and encodes their positions; without that limit everything before
    the last layer would stay FP32.
    """
    wanted: set[str] = set()
    found = set()
    for node in reversed(graph.node):
        leads_there = node.op_type in FROM_POSITIONS or any(name in wanted for name in node.output)
        if leads_there and node.op_type != FEATURES:
            found.add(node.name)
            wanted.update(node.input)
    return found
