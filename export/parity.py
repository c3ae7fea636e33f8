"""Compares the graphs of a stage with the checkpoint's own modules, on the same inputs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from masklet.export.family import Case, ExportStage, Feeds
from masklet.runtime.backends.output_error import OutputError, output_error
from masklet.runtime.bundle.manifest import Parity
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import ExportError

TOLERANCE = 1e-4  # relative, FP32
SEED = 2026
DRAWS = 20  # attempts to draw inputs whose results are not close to a threshold
WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"


@dataclass(frozen=True)
class ReferenceCall:
    """Inputs of one case, and the outputs of the checkpoint's own modules for them."""

    case: Case
    feeds: Feeds
    wanted: Feeds


def reference_calls(stage: ExportStage) -> tuple[ReferenceCall, ...]:
    """Run the reference once for every case of a stage; both graphs are compared with its outputs."""
    return tuple(_reference_call(stage, case, SEED + index) for index, case in enumerate(stage.cases))


def compare(stage: ExportStage, calls: Sequence[ReferenceCall], format: str, graph: Path) -> tuple[Parity, ...]:
    """Run a graph on the inputs of all calls. Returns the largest difference of each output, in declaration order.

    Raises ExportError if an output is not correctly rounded to bfloat16.
    """
    run = _Runner(stage, graph)
    names = [t.name for t in stage.spec.outputs]
    worst = dict.fromkeys(names, OutputError())
    for call in calls:
        got = run(call.feeds)
        for name in names:
            worst[name] = worst[name].or_worse(output_error(got[name], call.wanted[name]))
    return tuple(Parity(stage.spec.name, format, name, *worst[name]) for name in names)


def require(figures: Sequence[Parity], tolerance: float = TOLERANCE) -> None:
    """Raise ExportError for the first difference beyond the tolerance, including NaN and infinity."""
    for figure in figures:
        if figure.relative <= tolerance:
            continue
        output = f"stage {figure.stage!r} ({figure.format}), output {figure.output!r}"
        if not math.isfinite(figure.relative):
            raise ExportError(f"{output}: the graph or the checkpoint gives NaN or infinity; check the weights")
        raise ExportError(
            f"{output}: differs from the checkpoint by {figure.relative:.1e} relative "
            f"(max abs {figure.max_abs:.1e}), tolerance {tolerance:.0e}"
        )


def _reference_call(stage: ExportStage, case: Case, seed: int) -> ReferenceCall:
    for draw in range(DRAWS):
        feeds = stage.feeds(case, seed + 1000 * draw)
        wanted = stage.reference(feeds)
        if stage.decided(wanted):
            break
    return ReferenceCall(case, feeds, wanted)


class _Runner:
    """Runs one graph on ONNX Runtime. Rounded outputs are also returned before their rounding."""

    def __init__(self, stage: ExportStage, graph: Path) -> None:
        self._stage = stage
        model = onnx.load(str(graph), load_external_data=False)
        self._rounded = {name: _before_rounding(model, name) for name in stage.rounded}
        for name in self._rounded.values():
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry(WEIGHTS_FOLDER, str(graph.parent))
        self._session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])

    def __call__(self, feeds: Feeds) -> dict[str, Tensor]:
        names = [output.name for output in self._session.get_outputs()]
        got = dict(zip(names, self._session.run(names, dict(feeds)), strict=True))
        for name, before in self._rounded.items():
            if not np.array_equal(got[name], to_bfloat16(got[before]), equal_nan=True):
                raise ExportError(f"stage {self._stage.spec.name!r}, output {name!r}: is not rounded to bfloat16")
            got[name] = got[before]
        return got


def to_bfloat16(x: Tensor) -> Tensor:
    """Round float32 to the nearest bfloat16, ties to even; the result is float32."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = (bits + (bits >> 16 & 1) + 0x7FFF) & np.uint32(0xFFFF0000)
    return rounded.view(np.float32)


def _before_rounding(model: onnx.ModelProto, output: str) -> str:
    """The name of the value before the two casts, to bfloat16 and back, that produce an output."""
    producer = {name: node for node in model.graph.node for name in node.output}
    back = producer[output]
    there = producer.get(back.input[0]) if back.op_type == "Cast" else None
    if there is None or there.op_type != "Cast" or there.attribute[0].i != onnx.TensorProto.BFLOAT16:
        raise ExportError(f"output {output!r} is not rounded to bfloat16 in the graph")
    return str(there.input[0])
