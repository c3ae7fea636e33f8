"""What runs stages at a low precision while they are judged: the machine itself where it can, rounding where not."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
from masklet.calibration.graphs.stage_graph import PLAIN
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.ov.backend import OpenVino
from masklet.runtime.backends.session import Session
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact, ArtifactFile
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.errors import SessionError


class LowRuntime:
    """Opens made stages.

    bfloat16 is in no graph. OpenVINO computes in it where the CPU does; elsewhere a graph that rounds takes its place,
    whose time says nothing.
    """

    def __init__(self, precision: Precision, threads: int | None) -> None:
        self._onnxruntime = OnnxRuntime(threads)
        self._openvino: OpenVino | None = None
        self._why_not = ""
        self._bf16 = precision.bf16_tensors
        if self._bf16:
            try:
                self._openvino = OpenVino(threads, hint="bf16")
            except SessionError as error:
                self._why_not = str(error)

    def __str__(self) -> str:
        """Itself, for the report."""
        if self._openvino is not None:
            return f"{self._openvino} in bf16"
        return f"ONNX Runtime, rounding to bfloat16 ({self._why_not})" if self._bf16 else "ONNX Runtime"

    @property
    def rounds(self) -> bool:
        """Whether a graph that rounds has to stand in for the machine."""
        return self._bf16 and self._openvino is None

    def open(self, bundle: Bundle, stage: str, folder: Path, files: Mapping[str, tuple[str, ...]]) -> Session:
        """Open a stage from the folder that it was made in, as if from a bundle with only that stage.

        files: by format, the graph first.
        """
        spec = bundle.model.stage(stage)
        if self._openvino is not None:
            return self._openvino.open_graph(folder / files[PLAIN][0], spec)
        artifacts = tuple(
            Artifact(stage, format, Precision.FP32, tuple(ArtifactFile(name, "", 0) for name in names))
            for format, names in files.items()
        )
        made = Bundle(folder, msgspec.structs.replace(bundle.manifest, artifacts=artifacts))
        return self._onnxruntime.open(made, spec)
