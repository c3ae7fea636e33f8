"""A stage's graph opened by ONNX Runtime after it was changed in memory: on disk nothing is."""

from pathlib import Path
from typing import Any

import onnx
from masklet.runtime.backends.ort.backend import cores_of_this_process
from masklet.runtime.errors import SessionError

WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"


def open_changed_graph(
    model: onnx.ModelProto, path: Path, stage: str, threads: int | None, *, in_order: bool = False
) -> Any:
    """Open a graph on the CPU. path: of the graph that it was, beside which its weights are.

    in_order: run the nodes as they stand in the graph. Raises SessionError naming the stage.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry(WEIGHTS_FOLDER, str(path.parent))
    options.add_session_config_entry("session.force_spinning_stop", "1")  # as in runtime/backends/ort/backend.py
    if in_order:
        options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
    options.intra_op_num_threads = threads or cores_of_this_process()
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions share no base class
        raise SessionError(f"stage {stage!r}: {path} cannot be opened with more outputs: {error}") from error
