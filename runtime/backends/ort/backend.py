"""Sessions on ONNX Runtime."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from masklet.runtime.backends.gpu.cuda import open_cuda
from masklet.runtime.backends.gpu.device_memory import DeviceMemory
from masklet.runtime.backends.gpu.device_session import GpuInUse
from masklet.runtime.backends.kind import in_one_line
from masklet.runtime.backends.ort.gpu import OnnxRuntimeGpuSession
from masklet.runtime.backends.ort.providers import (
    NAMES,
    RECORD_ASSIGNMENT,
    Placement,
    Provider,
    first_line,
    make_engine_cache,
    requested,
)
from masklet.runtime.backends.session import Feeds, Session, check_tensors
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.errors import SessionError

if TYPE_CHECKING:
    import onnxruntime


class OnnxRuntimeSession:
    """A stage opened by ONNX Runtime. Inputs are read in place and outputs returned without a copy."""

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
        except Exception as error:  # ONNX Runtime's exceptions have no common base class
            raise SessionError(f"stage {self._spec.name!r}: ONNX Runtime failed: {first_line(error)}") from error

    def close(self) -> None:
        self._session = None


class OnnxRuntime:
    """Opens stages on ONNX Runtime.

    threads:  threads of each stage's pool; None for all cores that this process may use.
    provider: "cpu", "cuda" or "tensorrt". Nodes that it does not support fall back to the next one; see `ran_on`.
    strict:   raise an error on a fall-back.
    """

    formats: tuple[str, ...] = ("onnx-ort", "onnx")
    engine_machine: str | None = None

    def __init__(self, threads: int | None = None, *, provider: Provider = "cpu", strict: bool = False) -> None:
        self._threads, self._provider, self._strict = threads, provider, strict
        self._gpu: GpuInUse | None = None
        if provider != "cpu":
            self.formats = ("onnx",)
        self.ran_on: dict[str, str] = {}

    def __str__(self) -> str:
        """The name of the backend, and once stages are open what runs them."""
        return f"ONNX Runtime, {in_one_line(self.ran_on)}" if self.ran_on else "ONNX Runtime on the CPU"

    def artifact(self, bundle: Bundle, stage: StageSpec) -> Artifact:
        return bundle.artifact(stage.name, self.formats)

    def open(self, bundle: Bundle, stage: StageSpec) -> Session:
        artifact = self.artifact(bundle, stage)
        path, gpu = bundle.path(artifact), self._gpu_for(stage)
        if gpu is None:
            return self.open_graph(path, stage)
        if self._provider == "tensorrt":
            make_engine_cache()
        session = self._session(path, stage, requested(self._provider, artifact, gpu.memory.cuda.stream))
        self._place(stage, session)
        if NAMES["cuda"] not in session.get_providers():  # built in, but not loadable, for example without cuDNN
            return OnnxRuntimeSession(stage, session)
        return OnnxRuntimeGpuSession(stage, bundle.model, gpu, session)

    def open_graph(self, path: Path, stage: StageSpec) -> OnnxRuntimeSession:
        """Open a graph of a stage on the CPU. Raises SessionError naming the stage and ONNX Runtime's error."""
        return OnnxRuntimeSession(stage, self._session(path, stage, [(NAMES["cpu"], {})]))

    def _session(
        self, path: Path, stage: StageSpec, providers: list[tuple[str, dict[str, str]]]
    ) -> "onnxruntime.InferenceSession":
        options = session_options(self._threads)
        options.add_session_config_entry(RECORD_ASSIGNMENT, "0" if len(providers) == 1 else "1")
        try:
            session = _imported().InferenceSession(path, options, providers=providers)
        except Exception as error:
            raise SessionError(f"stage {stage.name!r}: {path} cannot be opened: {first_line(error)}") from error
        check_tensors(stage, {port.name for port in (*session.get_inputs(), *session.get_outputs())})
        return session

    def _gpu_for(self, stage: StageSpec) -> GpuInUse | None:
        """The requested GPU, opened with the first stage; None for the CPU, which may be a fall-back."""
        if self._provider == "cpu":
            return None
        wanted, available = NAMES[self._provider], _imported().get_available_providers()
        try:
            if wanted not in available:
                raise SessionError(
                    f"this ONNX Runtime has no {wanted}, only {', '.join(available)}; pip install 'masklet[gpu]'"
                )
            if self._gpu is None or not self._gpu.is_open:
                self._gpu = GpuInUse(DeviceMemory(open_cuda()))
        except SessionError as error:
            if self._strict:
                raise
            self.ran_on[stage.name] = f"CPU, for {error}"
            return None
        return self._gpu

    def _place(self, stage: StageSpec, session: "onnxruntime.InferenceSession") -> None:
        """Record what runs a stage; with `strict`, raise SessionError if it is not the requested provider."""
        placement = Placement(session)
        fallback = placement.falls_back(self._provider)
        if fallback and self._strict:
            wanted = f"stage {stage.name!r}: requested {self._provider}"
            raise SessionError(f"{wanted}, but {fallback}; drop --strict to allow it")
        self.ran_on[stage.name] = f"{placement}{f' ({fallback})' if fallback else ''}"


def _imported() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise SessionError(
            "ONNX Runtime is not installed; pip install 'masklet[cpu]' (or 'masklet[gpu]' for CUDA)"
        ) from None
    return onnxruntime


def session_options(threads: int | None) -> "onnxruntime.SessionOptions":
    """The options of a session on the CPU. threads: None for all cores that this process may use."""
    options = _imported().SessionOptions()
    options.log_severity_level = 3  # errors; the default prints warnings about harmless initialisers
    options.add_session_config_entry("session.force_spinning_stop", "1")  # idle threads release their cores at once
    options.intra_op_num_threads = threads or cores_of_this_process()
    return options


def cores_of_this_process() -> int:
    """The number of cores that taskset or a container allows, or 0 for ONNX Runtime's own choice.

    By default it counts all cores of the machine; threads that share a core then spin while they wait for each other.
    """
    if not hasattr(os, "sched_getaffinity"):
        return 0
    allowed = len(os.sched_getaffinity(0))
    return allowed if allowed < (os.cpu_count() or 1) else 0
