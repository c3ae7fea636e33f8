"""ONNX Runtime: the default, on every machine."""

from typing import TYPE_CHECKING

from masklet.runtime.backends.kind import BackendKind, Settings
from masklet.runtime.option import Option

if TYPE_CHECKING:
    from masklet.runtime.backends.session import ChosenBackend

PROVIDER = Option(
    "provider",
    "Execution provider of ONNX Runtime; the providers that ran each stage are logged at start.",
    default="cpu",
    choices=("cpu", "cuda", "tensorrt"),
)
STRICT = Option("strict", "Fail if a stage does not run on the given provider.", bool, False)


def create(threads: int | None, settings: Settings) -> "ChosenBackend":
    """ONNX Runtime on a provider."""
    from masklet.runtime.backends.ort.backend import OnnxRuntime

    return OnnxRuntime(threads, provider=settings.get("provider", "cpu"), strict=settings.get("strict", False))


BACKEND = BackendKind(
    "onnxruntime",
    "ONNX Runtime on the CPU, CUDA or TensorRT's execution provider",
    create,
    extra="cpu",
    options=(PROVIDER, STRICT),
    on_cpu=lambda settings: settings.get("provider", "cpu") == "cpu",
)
