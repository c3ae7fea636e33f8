"""Parses the graph of a stage into a TensorRT network: strongly typed, since the graph defines the precision."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from masklet.export.engines.interrupt import held_back
from masklet.runtime.backends.trt.library import TensorRT, version_of
from masklet.runtime.backends.trt.log import Messages, logger
from masklet.runtime.bundle.spec import StageSpec
from masklet.runtime.errors import ExportError

if TYPE_CHECKING:
    import tensorrt as trt


@dataclass(frozen=True)
class Network:
    """A parsed graph, the objects that must outlive it, and the messages of its logger."""

    library: TensorRT
    builder: "trt.Builder"
    definition: "trt.INetworkDefinition"
    parser: "trt.OnnxParser"
    messages: Messages


def parse(library: TensorRT, stage: StageSpec, graph: Path) -> Network:
    """Parse a graph whose weights are in the same folder.

    Raises ExportError if there is no usable GPU (TensorRT for RTX needs none), or naming the node that TensorRT does
    not support.
    """
    messages = Messages()
    log = logger(library, messages, verbose=True)
    try:
        builder = library.Builder(log)
    except (RuntimeError, TypeError) as error:  # what pybind raises if a constructor returns nothing
        said = messages.first_error() if messages.errors else str(error).splitlines()[0]
        raise ExportError(
            f"TensorRT {version_of(library)} cannot build here: {said}; it builds on a machine with the GPU and its "
            "driver, TensorRT for RTX (--backend tensorrt-rtx) anywhere"
        ) from None
    definition = builder.create_network(1 << int(library.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = library.OnnxParser(definition, log)
    with held_back():
        parsed = parser.parse_from_file(str(graph))
    if not parsed:
        raise ExportError(f"stage {stage.name!r}: {_refusal(library, parser, messages)}")
    return Network(library, builder, definition, parser, messages)


def _refusal(library: TensorRT, parser: "trt.OnnxParser", messages: Messages) -> str:
    """The first error of the parser, with its node if it has one."""
    if not parser.num_errors:
        return f"TensorRT {version_of(library)} cannot read the graph: {messages.first_error()}"
    error = parser.get_error(0)
    reason = " ".join(error.desc().split("[checkMacros")[0].split())  # the rest is about the machine, not the graph
    operator = error.node_operator()
    if not operator:
        return f"TensorRT {version_of(library)} cannot read the graph: {reason}"
    return (
        f"TensorRT {version_of(library)} does not support node {error.node_name()!r} ({operator}): {reason}; "
        "keep the stage on ONNX Runtime, or try a newer TensorRT"
    )
