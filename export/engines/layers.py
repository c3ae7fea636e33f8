"""What an engine is made of: each layer's type, tactic, operands and their precision.

The engine inspector says it in JSON, and needs a GPU. On a machine without one the builder's own log holds the same
account, which is brought into the same form.
"""

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from masklet.runtime.backends.trt.library import TensorRT
from masklet.runtime.backends.trt.log import Messages, logger

if TYPE_CHECKING:
    import tensorrt as trt

Layer = dict[str, Any]  # as the inspector has it: Name, LayerType, Inputs, Outputs, TacticName, Metadata, ...
TITLE = "Layers:\n"
LINE = re.compile(
    r"Name: (?P<name>.*?), LayerType: (?P<type>.*?), Inputs: \[(?P<inputs>.*?)\], Constants: \[(?P<constants>.*?)\], "
    r"Outputs: \[(?P<outputs>.*?)\], TacticName: (?P<tactic>.*?), StreamId: \d+.*?, Metadata: (?P<metadata>.*)$"
)
TENSOR = re.compile(r"\{ Name: (?P<name>.*?), Dimensions: \[(?P<shape>.*?)\], .*?Datatype: (?P<dtype>\w+), Format")


def describe_layers(library: TensorRT, plan: "trt.IHostMemory", messages: Messages) -> tuple[list[Layer], str]:
    """The layers of an engine that was just built, and who says so: "inspector", or "builder" without a GPU.

    messages: what its builder logged.
    """
    runtime = library.Runtime(logger(library, Messages()))
    engine = runtime.deserialize_cuda_engine(plan)
    inspector = engine.create_engine_inspector() if engine is not None else None
    if inspector is None:
        return layers_from_log(messages.verbose), "builder"
    said = json.loads(inspector.get_engine_information(library.LayerInformationFormat.JSON))
    return list(said["Layers"]), "inspector"


def layers_from_log(messages: Iterable[str]) -> list[Layer]:
    """The layers in the account that a builder logs last; none where it logs no such account."""
    account = [m for m in messages if m.startswith(TITLE)]
    lines = account[-1].splitlines()[1:] if account else []
    return [_layer(found) for found in map(LINE.match, lines) if found]


def operand_types(layer: Layer) -> set[str]:
    """The precisions of what a layer reads and writes, in one set: "Float", "Half", "Int8", ..."""
    tensors = (*layer.get("Inputs", ()), *layer.get("Outputs", ()), *layer.get("Constants", ()))
    types = (str(t.get("Datatype") or t.get("Format/Datatype") or "") for t in tensors if isinstance(t, dict))
    return {text.split(" ")[0] for text in types}


def _layer(found: re.Match[str]) -> Layer:
    return {
        "Name": found["name"],
        "LayerType": found["type"],
        "Inputs": _tensors(found["inputs"]),
        "Outputs": _tensors(found["outputs"]),
        "Constants": _tensors(found["constants"]),
        "TacticName": found["tactic"],
        "Metadata": found["metadata"],
    }


def _tensors(text: str) -> list[dict[str, Any]]:
    return [
        {"Name": t["name"], "Dimensions": [int(n) for n in t["shape"].split(",") if n], "Datatype": t["dtype"]}
        for t in TENSOR.finditer(text)
    ]
