"""Traces the torch module of a stage once and makes two ONNX graphs.

ONNX Runtime's CPU needs its own fused operators, other engines need standard ones. The second graph is the first one
with these operators replaced (standard_operators.py), not a second trace, and both read the same weights.
"""

import contextlib
import gc
import io
import logging
import math
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir
import onnxscript.optimizer
import torch
from masklet.export.family import ExportStage
from masklet.export.graphs.standard_operators import CONTRIB, plain
from masklet.export.graphs.weights import SharedWeights, refer
from masklet.export.graphs.whole_tiles import cut_into_tiles
from masklet.runtime.bundle.graph_files import INLINE_BYTES, graph_file
from masklet.runtime.bundle.spec import StageSpec, TensorSpec
from masklet.runtime.errors import ExportError
from onnx import helper, numpy_helper
from onnxscript import FLOAT
from onnxscript import opset19 as op

OPSET = 19  # supported by all target engines, including TensorRT 10.3
FOLDED_VALUES = 4096  # of a constant that is computed at export although it is larger than what it is computed from
# Data-dependent shapes and control flow, which engines with static memory plans cannot build, or run slowly.
UNWANTED = frozenset({"If", "Loop", "Scan", "NonZero", "ScatterND", "ScatterElements", "OneHot"})


@dataclass(frozen=True)
class Graphs:
    """A traced stage: the graph with standard operators, and the one with ONNX Runtime's operators if it differs.

    weights: the large constants of both, by name; they lie in a file beside the graphs, since a graph of more than 2 GB
             can be neither checked nor written.
    """

    spec: StageSpec
    plain: onnx.ModelProto
    fused: onnx.ModelProto | None
    weights: Mapping[str, bytes]

    def write(self, root: Path, shared: SharedWeights | None = None, form: str = "") -> dict[str, tuple[str, ...]]:
        """Write the graphs and their weights below root; returns the files of each format, the graph first.

        shared: the weights of the bundle's variants. form: which variant this is of; empty of the first.
        """
        stem = f"{self.spec.name}.{form}" if form else self.spec.name
        places = (shared or SharedWeights(root)).write(stem, self.weights, first=not form)
        files: dict[str, tuple[str, ...]] = {}
        for format, model in {"onnx": self.plain, "onnx-ort": self.fused}.items():
            if model is not None:
                files[format] = (graph_file(stem, format), *refer(model, places))
                (root / files[format][0]).write_bytes(model.SerializeToString(deterministic=True))
        onnx.checker.check_model(root / files["onnx"][0])
        return files


def trace(stage: ExportStage) -> Graphs:
    """Trace a stage at the sizes of its first case and check the graph.

    Raises ExportError naming the stage if torch cannot trace it, or the graph differs from its declaration.
    """
    spec = stage.spec
    feeds = {name: torch.from_numpy(feed) for name, feed in stage.feeds(stage.cases[0], seed=0).items()}
    try:
        with _quiet(), _uncollected(), torch.no_grad():
            program = torch.onnx.export(
                stage.module.eval(),
                kwargs=feeds,
                input_names=[t.name for t in spec.inputs],
                output_names=[t.name for t in spec.outputs],
                opset_version=OPSET,
                dynamic_shapes=_dynamic_shapes(spec),
                custom_translation_table={torch.ops.aten.gelu.default: _gelu},
                dynamo=True,
                optimize=False,
                verbose=False,
            )
            if program is not None:
                _name_transposed(program.model.graph)
                # A second iteration finds nothing. Folding what is larger than its factors would bake positions in.
                onnxscript.optimizer.optimize(program.model, num_iterations=1, output_size_limit=FOLDED_VALUES)
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ExportError(f"stage {spec.name!r}: torch cannot trace it: {reason}") from error
    if program is None:
        raise ExportError(f"stage {spec.name!r}: torch returned no graph")
    whole = program.model_proto
    widths = _widths(whole.graph)
    _tidy(whole, spec)
    weights = _detach_weights(whole)
    model = onnx.ModelProto()
    model.CopyFrom(whole)  # a protobuf message does not release the memory of removed fields
    if not any(node.domain == CONTRIB for node in model.graph.node):
        graphs = Graphs(spec, model, None, weights)
    else:
        graphs = Graphs(spec, plain(model), model, weights)
        cut_into_tiles(model, widths)
    _check(graphs.plain, spec)
    return graphs


def _gelu(x: FLOAT, approximate: str = "none") -> FLOAT:
    """x (1 + erf(x / sqrt 2)) / 2 in the order of factors that ONNX Runtime fuses; it does not fuse torch's order.

    Its approximation by tanh likewise, without a power.
    """
    if approximate == "tanh":
        inner = op.Mul(op.Mul(x, math.sqrt(2 / math.pi)), op.Add(op.Mul(op.Mul(x, 0.044715), x), 1.0))
        return op.Mul(op.Mul(x, 0.5), op.Add(op.Tanh(inner), 1.0))
    return op.Mul(op.Mul(x, op.Add(op.Erf(op.Div(x, math.sqrt(2.0))), 1.0)), 0.5)


def _dynamic_shapes(spec: StageSpec) -> dict[str, dict[int, torch.export.Dim]]:
    dims = {symbol: torch.export.Dim(symbol, min=1, max=4096) for symbol in spec.symbols()}
    return {t.name: {axis: dims[s] for axis, s in enumerate(t.shape) if isinstance(s, str)} for t in spec.inputs}


def _name_transposed(graph: onnx_ir.Graph) -> None:
    """Name transposed parameters after the parameter: `blocks.3.key.weight_transposed`, a second one `..._2`.

    Linear layers transpose their weights, which the optimizer folds into a new constant. From the name calibration sees
    to which part of the model a product belongs, and that it is a layer.
    """
    seen: Counter[str] = Counter()
    for node in graph:
        value = node.inputs[0] if node.op_type == "Transpose" else None
        if value is not None and (source := value.name or "") in graph.initializers:
            seen[source] += 1
            node.outputs[0].name = f"{source}_transposed" + (f"_{seen[source]}" if seen[source] > 1 else "")


def _tidy(model: onnx.ModelProto, spec: StageSpec) -> None:
    """Remove everything from the graph that does not affect its results, so that equal weights give equal bytes."""
    graph = model.graph
    graph.name, graph.doc_string, model.doc_string = spec.name, "", ""
    model.producer_name, model.producer_version = "masklet", ""
    del model.metadata_props[:], graph.metadata_props[:], graph.value_info[:]
    _drop_identities(graph)
    used = {name for node in graph.node for name in node.input}
    kept = [t for t in graph.initializer if t.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    for index, node in enumerate(graph.node):
        node.name, node.doc_string = f"{node.op_type}_{index}", ""
        del node.metadata_props[:]
    for values, tensors in ((graph.input, spec.inputs), (graph.output, spec.outputs)):
        names = [v.name for v in values]
        if names != [t.name for t in tensors]:
            raise ExportError(f"stage {spec.name!r}: the graph has {names}, declared are {[t.name for t in tensors]}")
        del values[:]
        values.extend(_value_info(tensor) for tensor in tensors)


def _widths(graph: onnx.GraphProto) -> dict[str, tuple[int, int]]:
    """Rows and channels, by name, of the tensors [batch, rows, channels] in which both are constant."""
    dims = {value.name: value.type.tensor_type.shape.dim for value in graph.value_info}
    return {
        name: (d[1].dim_value, d[2].dim_value)
        for name, d in dims.items()
        if len(d) == 3 and all(x.dim_value for x in d[1:])
    }


def _drop_identities(graph: onnx.GraphProto) -> None:
    """Remove Identity nodes between two other nodes; one that produces a graph output stays."""
    outputs = {o.name for o in graph.output}
    source = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Identity" and n.output[0] not in outputs}
    kept = [n for n in graph.node if n.op_type != "Identity" or n.output[0] in outputs]
    for node in kept:
        for index, name in enumerate(node.input):
            while name in source:
                name = source[name]
            node.input[index] = name
    del graph.node[:]
    graph.node.extend(kept)


def _value_info(tensor: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(
        tensor.name, helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype)), list(tensor.shape)
    )


def _check(model: onnx.ModelProto, spec: StageSpec) -> None:
    unwanted = sorted({n.op_type for n in model.graph.node if n.op_type in UNWANTED or n.domain})
    if unwanted:
        raise ExportError(f"stage {spec.name!r}: the graph has {', '.join(unwanted)}, which engines cannot build")


def _detach_weights(model: onnx.ModelProto) -> dict[str, bytes]:
    """Move the large constants out of a graph, in graph order; what is left of them is to refer to a weights file."""
    weights: dict[str, bytes] = {}
    for tensor in model.graph.initializer:
        raw = tensor.raw_data or numpy_helper.to_array(tensor).tobytes()
        if len(raw) >= INLINE_BYTES:
            weights[tensor.name] = raw
            tensor.ClearField("raw_data")
    return weights


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Pause the garbage collector: tracing creates millions of long-lived objects, and scanning them again and again
    took an eighth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the progress output and internal warnings of torch's exporter."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
