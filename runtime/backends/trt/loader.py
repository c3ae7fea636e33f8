"""Loads engines with TensorRT or TensorRT for RTX. Host code in engines is not allowed."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from masklet.runtime.backends.trt.engine import Context, Engine
from masklet.runtime.backends.trt.engine_choice import EnginePlan
from masklet.runtime.backends.trt.library import Backend, TensorRT, load_library, version_of
from masklet.runtime.backends.trt.log import Messages, logger
from masklet.runtime.errors import SessionError

if TYPE_CHECKING:
    import tensorrt as trt


class TensorRtEngine:
    """An engine, with the library and the runtime, which must outlive it."""

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
            raise SessionError(f"stage {self._stage!r}: TensorRT cannot create a context: {self._said.first_error()}")
        context: Context = made
        return context


def load_engine(backend: Backend, plan: EnginePlan) -> TensorRtEngine:
    """Deserialise an engine. Raises SessionError naming the stage and TensorRT's error."""
    library, said = load_library(backend), Messages()
    runtime = library.Runtime(logger(library, said))
    if plan.built_with != version_of(library):
        runtime = _lean_runtime(runtime, plan)
    runtime.engine_host_code_allowed = False
    engine = runtime.deserialize_cuda_engine(plan.data)
    if engine is None:
        what = f"{backend} {version_of(library)} cannot load it: {said.first_error()}"
        raise SessionError(f"stage {plan.stage!r}: {what}")
    if plan.weights is not None:
        _put_weights_in(library, engine, plan.stage, plan.weights, said)
    return TensorRtEngine(library, runtime, engine, plan.stage, said)


def _lean_runtime(runtime: "trt.Runtime", plan: EnginePlan) -> "trt.Runtime":
    """The lean runtime of another release, which loads a version-compatible engine of that release.

    Raises SessionError if it is not installed.
    """
    name = f"libnvinfer_lean.so.{'.'.join(plan.built_with.split('.')[:3])}"
    lean = runtime.load_runtime(name)
    if lean is None:
        raise SessionError(
            f"stage {plan.stage!r}: its engine was built by TensorRT {plan.built_with}, whose lean runtime {name} is "
            "not found here; put it on the library path, or build the engine again"
        )
    return lean


def _put_weights_in(library: TensorRT, engine: "trt.ICudaEngine", stage: str, graph: Path, said: Messages) -> None:
    """Set the weights of an engine built without them, from its graph. Raises SessionError if they do not fit."""
    log = logger(library, said)
    refitter = library.Refitter(engine, log)
    parser = library.OnnxParserRefitter(refitter, log)
    if not parser.refit_from_file(str(graph)) or not refitter.refit_cuda_engine():
        reason = parser.get_error(0).desc() if parser.num_errors else said.first_error()
        raise SessionError(f"stage {stage!r}: the weights of {graph.name} cannot be put into its engine: {reason}")


def library_version(backend: Backend) -> str:
    """The version of the installed TensorRT. Raises SessionError if none is installed."""
    return version_of(load_library(backend))
