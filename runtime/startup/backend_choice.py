"""The backend that a command line asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.ort.providers import Provider, in_one_line
from masklet.runtime.backends.session import Session
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import SessionError

if TYPE_CHECKING:
    from masklet.runtime.backends.trt.backend import TensorRt

BackendName = Literal["onnxruntime", "tensorrt", "tensorrt-rtx"]


@dataclass(frozen=True, slots=True)
class BackendChoice:
    """What runs the stages.

    provider: of ONNX Runtime. threads: of each of its stages on the CPU.
    strict:   a provider that does not run a stage which it was asked to run is an error.
    graphs:   TensorRT replays CUDA graphs.
    """

    name: BackendName = "onnxruntime"
    provider: Provider = "cpu"
    threads: int | None = None
    strict: bool = False
    graphs: bool = False

    @property
    def on_cpu(self) -> bool:
        """Whether no GPU is asked for."""
        return self.name == "onnxruntime" and self.provider == "cpu"

    def sessions(self, bundle: Bundle, tell: Callable[[str], None]) -> Sessions:
        """Open every stage. tell: is told in one line who runs which, where that is not ONNX Runtime's CPU as ever.

        Raises SessionError where the choice does not go together, or a stage cannot be opened so.
        """
        return self.open(bundle, tell)[0]

    def open(
        self, bundle: Bundle, tell: Callable[[str], None], wrap: Callable[[Session], Session] | None = None
    ) -> "tuple[Sessions, OnnxRuntime | TensorRt]":
        """The same, and the backend, which says more. wrap: put around every session.

        Engines that were built where they could not run are compared with their graphs before they are used.
        """
        from masklet.runtime.startup.engine_check import require_checked

        backend = self._backend()
        if not isinstance(backend, OnnxRuntime):
            found = require_checked(bundle, self.name, backend.machine, self._backend)
            if found is not None:
                tell(f"engines checked against their graphs: {found}")
        sessions = Sessions.open(bundle, backend, wrap)
        if backend.ran_on:
            tell(in_one_line(backend.ran_on))
        return sessions, backend

    def _backend(self) -> "OnnxRuntime | TensorRt":
        if self.name == "onnxruntime":
            if self.graphs:
                raise SessionError("--cuda-graphs is for --backend tensorrt and tensorrt-rtx")
            return OnnxRuntime(self.threads, provider=self.provider, strict=self.strict)
        if self.provider != "cpu":
            raise SessionError(f"--provider is for --backend onnxruntime, not for {self.name}")
        from masklet.runtime.backends.trt.backend import TensorRt

        return TensorRt(self.name, graphs=self.graphs)
