"""FP16 as types in the graph, with islands that stay FP32.

Inputs and outputs keep their types, so that stages of different precision meet. What stays FP32 without being asked:
what positions are computed from (pixels and times lose their digits in FP16), sines, Resize, and rounding to bfloat16.
LayerNormalization sums in FP32 by itself (stash_type). A tensor whose recorded magnitude comes near FP16's largest
number takes its nodes to FP32 as well.

ONNX Runtime's CPU computes FP16 graphs in FP32 and drops the rounding between nodes, overflow included. What FP16 costs
is therefore measured on a twin, `rounded`: FP32 with every tensor rounded to FP16 after the node that made it.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from masklet.calibration.graphs.stage_graph import drop_unused, initializers, replace_nodes
from onnx import TensorProto, helper, numpy_helper

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
LARGEST = float(np.finfo(np.float16).max)
HEADROOM = 4.0  # other frames may exceed what was recorded by this factor
FROM_POSITIONS = frozenset({"Sin", "Cos"})
FEATURES = "LayerNormalization"
STAYS = frozenset({"Resize", "Constant", "ConstantOfShape"}) | FROM_POSITIONS


def overflowing(magnitudes: Mapping[str, float]) -> dict[str, float]:
    """The tensors whose largest recorded magnitude comes near what FP16 can hold."""
    return {name: largest for name, largest in magnitudes.items() if largest > LARGEST / HEADROOM}


def islands(model: onnx.ModelProto, near_overflow: Iterable[str], kept: Iterable[str] = ()) -> set[str]:
    """The nodes of a graph with standard operators that stay FP32.

    near_overflow: tensors that FP16 may not hold; kept: nodes that are to stay for other reasons.
    """
    graph = model.graph
    constants = initializers(graph)
    too_large = set(near_overflow) | {name for name, tensor in constants.items() if _exceeds(tensor)}
    named = {n.name for n in graph.node if n.op_type in STAYS or _rounds_to_bfloat16(n, graph)}
    named |= {n.name for n in graph.node if too_large & {*n.input, *n.output}}
    return named | _positions(graph) | set(kept)


def to_half(model: onnx.ModelProto, types: Mapping[str, int], stay: set[str]) -> set[str]:
    """Turn a graph to FP16, in place; returns the tensors that are FP16 now.

    types: the element type of each tensor (of the form with standard operators, which names them all).
    stay:  names of nodes that stay FP32; a fused one stays where a node that it stands for does.
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
    """Turn an FP16 graph into one that computes in FP32 and rounds each of `halves` where it is made, in place."""
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
    """The nodes of a graph as they are converted one after the other, with the casts between them.

    A tensor is there in the type in which its node made it, under its own name; in the other type under a name of its
    own, from one cast however many nodes read it (engines refuse a name that is made twice).
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
        """Take over a node, to run in the wanted type where it works on floats at all."""
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
        """The name of a tensor in a type, after adding a cast or constant that makes it where there is none yet."""
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
    """Whether a node is one of the two casts, to bfloat16 and back."""
    if node.op_type != "Cast":
        return False
    from_bfloat16 = any(
        other.op_type == "Cast" and other.attribute[0].i == TensorProto.BFLOAT16 and other.output[0] == node.input[0]
        for other in graph.node
    )
    return from_bfloat16 or node.attribute[0].i == TensorProto.BFLOAT16


def _positions(graph: onnx.GraphProto) -> set[str]:
    """The nodes of sines and of what they are computed from, as far as that is a position: up to a norm of features.

    SAM 3's detector moves its boxes in every layer and encodes where they are; without that bound all that precedes
    the last layer would stay.
    """
    wanted: set[str] = set()
    found = set()
    for node in reversed(graph.node):
        leads_there = node.op_type in FROM_POSITIONS or any(name in wanted for name in node.output)
        if leads_there and node.op_type != FEATURES:
            found.add(node.name)
            wanted.update(node.input)
    return found
