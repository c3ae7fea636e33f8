"""ONNX Runtime's sessions of a bundle, two of which also put out what is inside of their graphs.

The mask decoder's cells after the prompt's attention, and how memory attention deals out its weights. The graphs are
those that run, at whatever precision, with a few nodes more; nothing on disk is changed.
"""

from pathlib import Path

import onnx
from masklet.calibration.diagnosis.observer.added_outputs import as_fp32, widened
from masklet.calibration.diagnosis.observer.memory_shares import put_out_memory_shares
from masklet.calibration.graphs.changed_graph import open_changed_graph
from masklet.runtime.backends.ort.backend import OnnxRuntime, OnnxRuntimeSession
from masklet.runtime.backends.session import Session
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact
from masklet.runtime.bundle.spec import StageSpec, TensorSpec
from masklet.runtime.errors import CalibrationError

PROMPTED_CELLS = "prompted_cells"  # [objects, cells, channels]: after the decoder's two-way transformer
PLACES = "image_positions"  # the parameter that is added to the cells before each attention to them


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
    as_fp32(graph, cells, PROMPTED_CELLS)
    return widened(graph, stage, output=output)
