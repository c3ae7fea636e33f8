"""How memory attention deals out its weights, as a further output of its graph."""

from collections import deque
from collections.abc import Mapping

import numpy as np
import onnx
from masklet.calibration.diagnosis.observer.added_outputs import as_fp32, widened
from masklet.calibration.graphs.stage_graph import FUSED_ATTENTION, constant, initializers, makers
from masklet.runtime.bundle.spec import StageSpec, TensorSpec
from masklet.runtime.errors import CalibrationError
from onnx import TensorProto, helper

ASKING_CELLS = "asking_cells"  # [asking] int64: cells of the frame whose attention is wanted
MEMORY_SHARES = "memory_shares"  # [objects, memories, tokens]: mean weight over layers, heads and asking cells
MEMORY_KEYS = ".cross_key."  # in the names of the parameters that make the keys of memories


def put_out_memory_shares(graph: onnx.GraphProto, stage: StageSpec) -> StageSpec:
    """Make the shares an output of a memory attention's graph, in place; returns the stage with it and its input."""
    made_by, constants = makers(graph), initializers(graph)
    crossing = [
        node
        for node in graph.node
        if node.op_type == FUSED_ATTENTION and MEMORY_KEYS in _nearest_parameter(node.input[1], made_by, constants)
    ]
    if not crossing:
        raise CalibrationError(
            f"stage {stage.name!r}: its graph has no fused attention to memories; give --no-attention"
        )
    memory = next(t for t in stage.inputs if t.name == "memory")
    layers = [_weights(graph, node, f"shares_{number}") for number, node in enumerate(crossing)]
    one = constant(graph, "shares_axis", np.array([1], np.int64))
    first = constant(graph, "shares_first", np.array([0], np.int64))
    graph.node.extend(
        [
            helper.make_node("Mean", layers, ["shares_keys"]),
            helper.make_node("Shape", ["memory"], ["shares_sizes"], start=1, end=3),
            helper.make_node("ReduceProd", ["shares_sizes"], ["shares_end"], keepdims=1),
            helper.make_node("Slice", ["shares_keys", first, "shares_end", one], ["shares_spatial"]),
            helper.make_node("Shape", ["memory"], ["shares_shape"], start=0, end=3),
            helper.make_node("Reshape", ["shares_spatial", "shares_shape"], [MEMORY_SHARES]),
        ]
    )
    asked = TensorSpec(ASKING_CELLS, ("asking",), "int64")
    return widened(graph, stage, input=asked, output=TensorSpec(MEMORY_SHARES, memory.shape[:3]))


def _weights(graph: onnx.GraphProto, attention: onnx.NodeProto, name: str) -> str:
    """Add nodes that compute softmax(query key^T scale) of the asking cells, as a mean [objects, keys]."""
    attributes = {a.name: helper.get_attribute_value(a) for a in attention.attribute}
    split = constant(graph, "shares_split", np.array([0, 0, int(attributes["num_heads"]), -1], np.int64))
    scale = constant(graph, f"{name}_scale", np.array(attributes["scale"], np.float32))
    axes = constant(graph, "shares_axes", np.array([1, 2], np.int64))
    query, key = (as_fp32(graph, tensor, f"{name}_{i}") for i, tensor in enumerate(attention.input[:2]))
    graph.node.extend(
        [
            helper.make_node("Gather", [query, ASKING_CELLS], [f"{name}_asking"], axis=1),
            helper.make_node("Reshape", [f"{name}_asking", split], [f"{name}_q"]),
            helper.make_node("Transpose", [f"{name}_q"], [f"{name}_qt"], perm=[0, 2, 1, 3]),
            helper.make_node("Mul", [f"{name}_qt", scale], [f"{name}_qs"]),
            helper.make_node("Reshape", [key, split], [f"{name}_k"]),
            helper.make_node("Transpose", [f"{name}_k"], [f"{name}_kt"], perm=[0, 2, 3, 1]),
            helper.make_node("MatMul", [f"{name}_qs", f"{name}_kt"], [f"{name}_scores"]),
            helper.make_node("Softmax", [f"{name}_scores"], [f"{name}_weights"], axis=-1),
            helper.make_node("ReduceMean", [f"{name}_weights", axes], [name], keepdims=0),
        ]
    )
    return name


def _nearest_parameter(tensor: str, made_by: Mapping[str, onnx.NodeProto], constants: Mapping[str, TensorProto]) -> str:
    """The name of the parameter with which a tensor was made last; empty where there is none."""
    waiting = deque([tensor])
    while waiting:
        node = made_by.get(waiting.popleft())
        if node is None:
            continue
        named = [name for name in node.input if name in constants and (".cross_" in name or ".own_" in name)]
        if named:
            return str(named[0])
        waiting.extend(node.input)
    return ""
