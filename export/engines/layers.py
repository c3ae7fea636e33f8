"""Describes the layers of an engine: type, tactic, operands and their precision.

TensorRT's engine inspector gives this as JSON, but needs a GPU. On a machine without one the builder's log has the same
information, which is converted to the same form.
"""

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from masklet.runtime.backends.trt.library import TensorRT
from masklet.runtime.backends.trt.log import Messages, logger

if TYPE_CHECKING:
    import tensorrt as trt

Layer = dict[str, Any]  # keys of the inspector: Name, LayerType, Inputs, Outputs, TacticName, Metadata, ...
TITLE = "Layers:\n"
LINE = re.compile(
    r"Name: (?P<name>.*?), LayerType: (?P<type>.*?), Inputs: \[(?P<inputs>.*?)\], Constants: \[(?P<constants>.*?)\], "
    r"Outputs: \[(?P<outputs>.*?)\], TacticName: (?P<tactic>.*?), StreamId: \d+.*?, Metadata: (?P<metadata>.*)$"
)
TENSOR = re.compile(r"\{ Name: (?P<name>.*?), Dimensions: \[(?P<shape>.*?)\], .*?Datatype: (?P<dtype>\w+), Format")


def describe_layers(library: TensorRT, plan: "trt.IHostMemory", messages: Messages) -> tuple[list[Layer], str]:
    """The layers of an engine that was just built, and their origin: "inspector", or "builder" without a GPU.

    messages: log of its builder.
    """
    runtime = library.Runtime(logger(library, Messages()))
    engine = runtime.deserialize_cuda_engine(plan)
    inspector = engine.create_engine_inspector() if engine is not None else None
    if inspector is None:
        return layers_from_log(messages.verbose), "builder"
    said = json.loads(inspector.get_engine_information(library.LayerInformationFormat.JSON))
    return list(said["Layers"]), "inspector"


def layers_from_log(messages: Iterable[str]) -> list[Layer]:
    """The layers in the last list that a builder logs; empty if it logs no list."""
    account = [m for m in messages if m.startswith(TITLE)]
    lines = account[-1].splitlines()[1:] if account else []
    return [_layer(match) for match in map(LINE.match, lines) if match]


def operand_types(layer: Layer) -> set[str]:
    """The set of precisions of a layer's inputs and outputs: "Float", "Half", "Int8", ..."""
    tensors = (*layer.get("Inputs", ()), *layer.get("Outputs", ()), *layer.get("Constants", ()))
    types = (str(t.get("Datatype") or t.get("Format/Datatype") or "") for t in tensors if isinstance(t, dict))
    return {text.split(" ")[0] for text in types}


def _layer(match: re.Match[str]) -> Layer:
    return {
        "Name": match["name"],
        "LayerType": match["type"],
        "Inputs": _tensors(match["inputs"]),
        "Outputs": _tensors(match["outputs"]),
        "Constants": _tensors(match["constants"]),
        "TacticName": match["tactic"],
        "Metadata": match["metadata"],
    }


def _tensors(text: str) -> list[dict[str, Any]]:
    return [
        {"Name": t["name"], "Dimensions": [int(n) for n in t["shape"].split(",") if n], "Datatype": t["dtype"]}
        for t in TENSOR.finditer(text)
    ]
