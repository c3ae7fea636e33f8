"""Sessions on ONNX Runtime."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from masklet.runtime.bundle import Bundle
from masklet.runtime.errors import SessionError
from masklet.runtime.session import Feeds
from masklet.runtime.spec import StageSpec, Tensor

if TYPE_CHECKING:
    import onnxruntime


class OnnxRuntimeSession:
    """A stage opened by ONNX Runtime. Feeds are read in place and outputs handed over without a copy."""

    def __init__(self, spec: StageSpec, session: "onnxruntime.InferenceSession") -> None:
        self._spec = spec
        self._session: Any = session
        self._outputs = [t.name for t in spec.outputs]

    @property
    def spec(self) -> StageSpec:
        return self._spec

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        self._spec.check(feeds)
        if self._session is None:
            raise SessionError(f"stage {self._spec.name!r} was closed")
        try:
            return dict(zip(self._outputs, self._session.run(self._outputs, dict(feeds)), strict=True))
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            raise SessionError(f"stage {self._spec.name!r}: ONNX Runtime failed: {_first_line(error)}") from error

    def close(self) -> None:
        self._session = None


class OnnxRuntime:
    """Opens stages on ONNX Runtime's CPU provider.

    threads: threads of each stage's own pool; the number of physical cores where None.
    """

    formats = ("onnx-ort", "onnx")

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads

    def open(self, bundle: Bundle, stage: StageSpec) -> OnnxRuntimeSession:
        return self.open_graph(bundle.path(bundle.artifact(stage.name, self.formats)), stage)

    def open_graph(self, path: Path, stage: StageSpec) -> OnnxRuntimeSession:
        """Open a graph of a stage. Raises SessionError naming the stage and what ONNX Runtime said."""
        try:
            import onnxruntime
        except ImportError:
            raise SessionError(
                "ONNX Runtime is not installed; pip install 'masklet[cpu]' (or 'masklet[gpu]' for CUDA)"
            ) from None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors; the default prints warnings about harmless initialisers
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        try:
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise SessionError(f"stage {stage.name!r}: {path} cannot be opened: {_first_line(error)}") from error
        self._check_io(stage, session)
        return OnnxRuntimeSession(stage, session)

    def _check_io(self, stage: StageSpec, session: "onnxruntime.InferenceSession") -> None:
        have = {i.name for i in session.get_inputs()} | {o.name for o in session.get_outputs()}
        want = {t.name for t in (*stage.inputs, *stage.outputs)}
        if have != want:
            raise SessionError(f"stage {stage.name!r}: its graph has tensors {sorted(have)}, declared {sorted(want)}")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
