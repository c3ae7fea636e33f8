"""ONNX Runtime's sessions of a bundle, two of which also put out what is inside of their graphs.

The mask decoder's cells after the prompt's attention, and how memory attention deals out its weights. The graphs are
those that run, at whatever precision, with a few nodes more; nothing on disk is changed.
"""

from collections import deque
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from masklet.calibration.graphs.changed_graph import open_changed_graph
from masklet.calibration.graphs.stage_graph import constant, initializers, makers
from masklet.runtime.backends.ort.backend import OnnxRuntime, OnnxRuntimeSession
from masklet.runtime.backends.session import Session
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact
from masklet.runtime.bundle.spec import StageSpec, TensorSpec
from masklet.runtime.errors import CalibrationError
from onnx import TensorProto, helper

PROMPTED_CELLS = "prompted_cells"  # [objects, cells, channels]: after the decoder's two-way transformer
ASKING_CELLS = "asking_cells"  # [asking] int64: cells of the frame whose attention is wanted
MEMORY_SHARES = "memory_shares"  # [objects, memories, tokens]: mean weight over layers, heads and asking cells
PLACES = "image_positions"  # the parameter that is added to the cells before each attention to them
ATTENTION = "MultiHeadAttention"
MEMORY_KEYS = ".cross_key."  # in the names of the parameters that make the keys of memories


class InnerTensors:
    """A backend that opens stages as `OnnxRuntime` on the CPU does, with what is inside of them as further outputs.

    The mask decoder also puts out PROMPTED_CELLS.
    shares: whether memory attention puts out MEMORY_SHARES; it then takes ASKING_CELLS. What it puts out for pointers
            is what is missing to 1.
    """

    def __init__(self, threads: int | None = None, *, shares: bool = False) -> None:
        self._threads, self._shares = threads, shares
        self._backend = OnnxRuntime(threads)

    def artifact(self, bundle: Bundle, stage: StageSpec) -> Artifact:
        return self._backend.artifact(bundle, stage)

    def open(self, bundle: Bundle, stage: StageSpec) -> Session:
        path = bundle.path(self.artifact(bundle, stage))
        if stage.name == "mask_decoder":
            model = onnx.load(path, load_external_data=False)
            return self._opened(model, path, put_out_prompted_cells(model.graph, stage))
        if stage.name == "memory_attention" and self._shares:
            model = onnx.load(path, load_external_data=False)
            return self._opened(model, path, put_out_memory_shares(model.graph, stage))
        return self._backend.open(bundle, stage)

    def _opened(self, model: onnx.ModelProto, path: Path, stage: StageSpec) -> Session:
        return OnnxRuntimeSession(stage, open_changed_graph(model, path, stage.name, self._threads))


def put_out_prompted_cells(graph: onnx.GraphProto, stage: StageSpec) -> StageSpec:
    """Make the cells an output of a mask decoder's graph, in place; returns the stage with it."""
    adds = [node for node in graph.node if node.op_type == "Add" and any(PLACES in name for name in node.input)]
    if not adds:
        raise CalibrationError(
            f"stage {stage.name!r}: its graph names no cells of the prompt's attention; export the model again"
        )
    cells = next(name for name in adds[-1].input if PLACES not in name)
    embed = next(t for t in stage.inputs if t.name == "image_embed")
    objects, channels, height, width = embed.shape
    output = TensorSpec(PROMPTED_CELLS, (objects, int(height) * int(width), channels))
    _cast(graph, cells, PROMPTED_CELLS)
    return _wider(graph, stage, output=output)


def put_out_memory_shares(graph: onnx.GraphProto, stage: StageSpec) -> StageSpec:
    """Make the shares an output of a memory attention's graph, in place; returns the stage with it and its input."""
    made_by, constants = makers(graph), initializers(graph)
    crossing = [
        node
        for node in graph.node
        if node.op_type == ATTENTION and MEMORY_KEYS in _nearest_parameter(node.input[1], made_by, constants)
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
    return _wider(graph, stage, input=asked, output=TensorSpec(MEMORY_SHARES, memory.shape[:3]))


def _weights(graph: onnx.GraphProto, attention: onnx.NodeProto, name: str) -> str:
    """Add nodes that compute softmax(query key^T scale) of the asking cells, as a mean [objects, keys]."""
    attributes = {a.name: helper.get_attribute_value(a) for a in attention.attribute}
    split = constant(graph, "shares_split", np.array([0, 0, int(attributes["num_heads"]), -1], np.int64))
    scale = constant(graph, f"{name}_scale", np.array(attributes["scale"], np.float32))
    axes = constant(graph, "shares_axes", np.array([1, 2], np.int64))
    query, key = (_cast(graph, tensor, f"{name}_{i}") for i, tensor in enumerate(attention.input[:2]))
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


def _cast(graph: onnx.GraphProto, tensor: str, name: str) -> str:
    """Add a node that hands a tensor on in FP32 under a name."""
    graph.node.append(helper.make_node("Cast", [tensor], [name], to=TensorProto.FLOAT))
    return name


def _wider(
    graph: onnx.GraphProto, stage: StageSpec, *, output: TensorSpec, input: TensorSpec | None = None
) -> StageSpec:
    """Declare a tensor that nodes make as an output, and maybe an input."""
    graph.output.append(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, list(output.shape)))
    if input is not None:
        graph.input.append(helper.make_tensor_value_info(input.name, TensorProto.INT64, list(input.shape)))
    inputs = stage.inputs if input is None else (*stage.inputs, input)
    return StageSpec(stage.name, inputs, (*stage.outputs, output))
