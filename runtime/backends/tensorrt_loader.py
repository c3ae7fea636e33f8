"""A plan to an engine, by TensorRT or TensorRT for RTX. Host code in plans stays disallowed."""

from typing import TYPE_CHECKING, Any

from masklet.runtime.backends.engine_protocol import Context, Engine
from masklet.runtime.backends.tensorrt_library import Backend, TensorRT, load_library, version_of
from masklet.runtime.backends.tensorrt_log import Messages, logger
from masklet.runtime.errors import SessionError

if TYPE_CHECKING:
    import tensorrt as trt


class TensorRtEngine:
    """An engine with the library and the runtime that it came from, which have to outlive it."""

    def __init__(
        self, library: TensorRT, runtime: "trt.Runtime", engine: "trt.ICudaEngine", stage: str, said: Messages
    ) -> None:
        self._library, self._runtime, self._engine, self._stage, self._said = library, runtime, engine, stage, said

    @property
    def engine(self) -> Engine:
        engine: Engine = self._engine
        return engine

    def dtype(self, name: str) -> Any:
        return self._library.nptype(self._engine.get_tensor_dtype(name))

    def context(self) -> Context:
        strategy = self._library.ExecutionContextAllocationStrategy.USER_MANAGED
        made = self._engine.create_execution_context(strategy)
        if made is None:
            raise SessionError(f"stage {self._stage!r}: TensorRT makes no context: {self._said.first_error()}")
        context: Context = made
        return context


def load_engine(backend: Backend, plan: bytes, stage: str) -> TensorRtEngine:
    """Deserialise a plan that was vouched for. Raises SessionError naming the stage and what TensorRT said."""
    library, said = load_library(backend), Messages()
    runtime = library.Runtime(logger(library, said))
    runtime.engine_host_code_allowed = False
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise SessionError(f"stage {stage!r}: {backend} {version_of(library)} does not load it: {said.first_error()}")
    return TensorRtEngine(library, runtime, engine, stage, said)


def library_version(backend: Backend) -> str:
    """The version of TensorRT that is installed. Raises SessionError where none is."""
    return version_of(load_library(backend))
