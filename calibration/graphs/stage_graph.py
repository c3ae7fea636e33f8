"""Loads the graphs of a stage, describes their tensors and groups of nodes, and writes graphs back to disk.

A stage has up to two graphs, with standard operators ("onnx") and with ONNX Runtime's fused attention ("onnx-ort").
Both have the same tensor names and weights, so a decision for one is valid for the other.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.graph_files import INLINE_BYTES, WeightsLayout, graph_file, write_weights
from onnx import TensorProto, numpy_helper

PLAIN = "onnx"
FUSED_ATTENTION = "MultiHeadAttention"
FIRST = "input"  # the group of nodes before the first one with parameters


def load_graphs(bundle: Bundle, stage: str) -> dict[str, onnx.ModelProto]:
    """The graphs of a stage with their weights, by format, the one with standard operators first."""
    artifacts = [a for a in bundle.manifest.artifacts if a.stage == stage and a.format.startswith(PLAIN)]
    models = {a.format: onnx.load(bundle.path(a)) for a in sorted(artifacts, key=lambda a: a.format)}
    for model in models.values():
        fold_transposed_weights(model.graph)
    return models


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a model that can be changed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def initializers(graph: onnx.GraphProto) -> dict[str, TensorProto]:
    """The constants of a graph by name."""
    return {tensor.name: tensor for tensor in graph.initializer}


def makers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """The node that produces each tensor, by tensor name."""
    return {name: node for node in graph.node for name in node.output}


def readers(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """The nodes that read each tensor, in graph order, by tensor name."""
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def tensor_types(model: onnx.ModelProto) -> dict[str, int]:
    """The element type of every tensor of a graph with standard operators."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {tensor.name: int(tensor.data_type) for tensor in graph.initializer}
    values = (*graph.input, *graph.output, *graph.value_info)
    return types | {value.name: int(value.type.tensor_type.elem_type) for value in values}


def groups(graph: onnx.GraphProto) -> dict[str, str]:
    """The part of the model that each node belongs to, by node name: `blocks.3`, `layers.0`, `downsample`, ...

    It follows from the names of parameters that only this node uses; a node without any belongs to the part of the
    previous node.
    """
    constants = initializers(graph)
    uses = Counter(name for node in graph.node for name in set(node.input))
    found, group = {}, FIRST
    for node in graph.node:
        named = [n for n in node.input if n in constants and "." in n and uses[n] == 1]
        group = _group(named[0]) if named else group
        found[node.name] = group
    return found


def write_graphs(stage: str, models: Mapping[str, onnx.ModelProto], root: Path) -> dict[str, tuple[str, ...]]:
    """Write the graphs of a stage and one weights file for all, below root. Returns files by format, graph first."""
    layout = WeightsLayout(stage)
    places = {name: layout.place(len(raw)) for name, raw in _large_constants(models.values())}
    weights = write_weights(root, stage, (raw for _, raw in _large_constants(models.values())))
    files: dict[str, tuple[str, ...]] = {}
    for format, model in models.items():
        files[format] = (graph_file(stage, format), weights)
        (root / files[format][0]).write_bytes(_outside(model, places).SerializeToString(deterministic=True))
    return files


def constant(graph: onnx.GraphProto, name: str, value: npt.NDArray[Any]) -> str:
    """Add a constant, once, and return its name."""
    if all(tensor.name != name for tensor in graph.initializer):
        graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove constants that no node reads."""
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def fold_transposed_weights(graph: onnx.GraphProto, weights_folder: Path | None = None) -> None:
    """Replace transposed constants by constants, in place, so that products with them are products with weights.

    weights_folder: folder of large constants, if they were not loaded with the graph.
    """
    constants = initializers(graph)
    kept = []
    for node in graph.node:
        if node.op_type == "Transpose" and node.input[0] in constants:
            order = next((list(a.ints) for a in node.attribute if a.name == "perm"), None)
            value = numpy_helper.to_array(constants[node.input[0]], str(weights_folder or ""))
            constant(graph, node.output[0], np.transpose(value, order))
        else:
            kept.append(node)
    replace_nodes(graph, kept)
    drop_unused(graph)


def replace_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Replace the nodes of a graph."""
    nodes = list(nodes)
    del graph.node[:]
    graph.node.extend(nodes)


def _group(parameter: str) -> str:
    parts = parameter.split(".")
    numbers = [at for at, part in enumerate(parts) if part.isdecimal()]
    return ".".join(parts[: numbers[0] + 1] if numbers else parts[:-1][:2])


def _large_constants(models: Iterable[onnx.ModelProto]) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the constants that go into the weights file, each once."""
    seen = set()
    for model in models:
        for tensor in model.graph.initializer:
            if tensor.name in seen:
                continue
            seen.add(tensor.name)
            raw = tensor.raw_data or numpy_helper.to_array(tensor).tobytes()
            if len(raw) >= INLINE_BYTES:
                yield tensor.name, raw


def _outside(model: onnx.ModelProto, places: Mapping[str, Mapping[str, str]]) -> onnx.ModelProto:
    """The same graph, with its large constants replaced by references to the weights file."""
    out = copied(model)
    for tensor in out.graph.initializer:
        if tensor.name in places:
            for field in ("raw_data", "float_data", "int32_data", "int64_data"):
                tensor.ClearField(field)
            tensor.data_location = TensorProto.EXTERNAL
            del tensor.external_data[:]
            for key, value in places[tensor.name].items():
                tensor.external_data.add(key=key, value=value)
    return out
