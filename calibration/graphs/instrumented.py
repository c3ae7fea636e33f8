"""A graph with added outputs that show its tensors: their extremes or sums, and samples of some of them."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx
from masklet.calibration.graphs.stage_graph import constant, copied, replace_nodes
from onnx import TensorProto, helper

REDUCED = "masklet_reduced"


def sample_name(tensor: str) -> str:
    """The output that has the sample of a tensor."""
    return f"{tensor}_sample"


def instrumented(
    model: onnx.ModelProto, tensors: Iterable[str], kinds: Sequence[str], strides: Mapping[str, int]
) -> onnx.ModelProto:
    """The graph with each tensor reduced right after its producer, so that it does not live longer than before.

    kinds:   reductions to one number, such as ReduceMax; their results form the output `REDUCED`, tensor by tensor.
    strides: of the tensors that are sampled as well, each with an output of its own.
    """
    probes, wanted = _Probes(copied(model), kinds, strides), frozenset(tensors)
    for value in model.graph.input:
        if value.name in wanted:
            probes.add(value.name)
    for node in model.graph.node:
        probes.nodes.append(node)
        for name in node.output:
            if name in wanted:
                probes.add(name)
    return probes.finish()


class _Probes:
    """The nodes of an instrumented graph, in order: the graph's own, and behind each those that look at its results."""

    def __init__(self, model: onnx.ModelProto, kinds: Sequence[str], strides: Mapping[str, int]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._model, self._kinds, self._strides = model, kinds, strides
        self._numbers: list[str] = []
        self._flat, self._start = self._integer("masklet_flat", -1), self._integer("masklet_start", 0)
        self._end = self._integer("masklet_end", 2**62)

    def add(self, tensor: str) -> None:
        """Reduce a tensor, and sample it if it has a stride."""
        for kind in self._kinds:
            number, listed = f"{tensor}_{kind}", f"{tensor}_{kind}_1"
            self.nodes.append(helper.make_node(kind, [tensor], [number], number, keepdims=0))
            self.nodes.append(helper.make_node("Reshape", [number, self._flat], [listed], listed))
            self._numbers.append(listed)
        if tensor in self._strides:
            self._sample(tensor, self._strides[tensor])

    def finish(self) -> onnx.ModelProto:
        """The model with all nodes and outputs in it."""
        self.nodes.append(helper.make_node("Concat", self._numbers, [REDUCED], REDUCED, axis=0))
        self._output(REDUCED, len(self._numbers))
        replace_nodes(self._model.graph, self.nodes)
        return self._model

    def _sample(self, tensor: str, stride: int) -> None:
        row, sample = f"{tensor}_row", sample_name(tensor)
        every = self._integer(f"masklet_stride_{stride}", stride)
        self.nodes.append(helper.make_node("Reshape", [tensor, self._flat], [row], row))
        self.nodes.append(helper.make_node("Slice", [row, self._start, self._end, "", every], [sample], sample))
        self._output(sample, "n")

    def _output(self, name: str, size: int | str) -> None:
        self._model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [size]))

    def _integer(self, name: str, value: int) -> str:
        return constant(self._model.graph, name, np.array([value], np.int64))
