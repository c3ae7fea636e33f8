"""Infers the shape of every tensor of an ONNX graph at given input sizes.

ONNX's own inference stops where a graph computes a shape from the shapes of its inputs, and at operators of other
domains. Therefore nodes that depend on shapes only are folded into constants, and ONNX Runtime's operators
are written out in standard ones (written_out.py), until inference succeeds.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from masklet.profiles.model.written_out import write_out
from masklet.profiles.recording.timeline import Sizes
from masklet.runtime.bundle.spec import StageSpec
from masklet.runtime.errors import MaskletError

if TYPE_CHECKING:
    import onnx

Shape = tuple[int, ...]
Constants = dict[str, npt.NDArray[Any]]
FOLDED = frozenset(
    ("Gather", "Concat", "Unsqueeze", "Squeeze", "Slice", "Add", "Sub", "Mul", "Div", "Cast", "Reshape", "Constant")
)
SMALL = 64  # maximum number of elements of a tensor that may be part of a shape


def shaped_graph(path: Path, stage: StageSpec, sizes: Sizes) -> "onnx.GraphProto":
    """The graph at `path` with the shapes of its tensors, for a stage whose symbols have these sizes.

    Weights are not read. Raises MaskletError if the package onnx is missing.
    """
    try:
        import onnx
    except ImportError:
        raise MaskletError("the roofline needs the package onnx; pip install onnx") from None
    model = onnx.load(path, load_external_data=False)
    _set_inputs(model.graph, stage, sizes)
    write_out(model.graph)
    while True:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        if not _fold(model.graph, known_shapes(inferred)):
            return inferred


def known_shapes(graph: "onnx.GraphProto") -> dict[str, Shape]:
    """Shapes by tensor, for tensors whose sizes are all known."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(d.HasField("dim_value") for d in kind.shape.dim):
            shapes[value.name] = tuple(d.dim_value for d in kind.shape.dim)
    return shapes


def _set_inputs(graph: "onnx.GraphProto", stage: StageSpec, sizes: Sizes) -> None:
    declared = {tensor.name: tensor for tensor in stage.inputs}
    for value in graph.input:
        for axis, size in enumerate(declared[value.name].sized(sizes)):
            value.type.tensor_type.shape.dim[axis].dim_value = size
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")  # it may contain symbols, which inference would not overwrite


def _fold(graph: "onnx.GraphProto", shapes: dict[str, Shape]) -> bool:
    """Replace nodes that depend on shapes only by constants. Returns False if there was none."""
    from onnx import numpy_helper

    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer if _is_small(t)}
    kept = []
    for node in graph.node:
        value = _constant(node, constants, shapes)
        if value is None or value.size > SMALL:
            kept.append(node)
        else:
            constants[node.output[0]] = value
            graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
    folded = len(kept) < len(graph.node)
    if folded:
        del graph.node[:]
        graph.node.extend(kept)
    return folded


def _is_small(tensor: "onnx.TensorProto") -> bool:
    return tensor.data_location == 0 and int(np.prod(tensor.dims)) <= SMALL


def _constant(node: "onnx.NodeProto", constants: Constants, shapes: dict[str, Shape]) -> npt.NDArray[Any] | None:
    from onnx.reference import ReferenceEvaluator

    if node.op_type == "Shape" and node.input[0] in shapes:
        edges = {a.name: a.i for a in node.attribute}
        return np.array(shapes[node.input[0]][edges.get("start", 0) : edges.get("end")], np.int64)
    names = [name for name in node.input if name]
    if node.op_type not in FOLDED or node.domain or any(name not in constants for name in names):
        return None
    return np.asarray(ReferenceEvaluator(node).run(None, {name: constants[name] for name in names})[0])
