"""The part of TensorRT that is used: common to `tensorrt` 10.3 to 11 and TensorRT for RTX.

The library is selected when a command runs, so no file imports it at the top. A protocol names the parts that are used;
`make lint-tensorrt` checks that three real versions satisfy it, and every use of it against their types.
"""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from masklet.runtime.errors import SessionError

if TYPE_CHECKING:
    import tensorrt as trt

Backend = Literal["tensorrt", "tensorrt-rtx"]
MODULES: dict[str, tuple[str, ...]] = {
    "tensorrt": ("tensorrt",),
    "tensorrt-rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings"),
}
INSTALL: dict[str, str] = {
    "tensorrt": "it comes with JetPack, elsewhere: pip install tensorrt",
    "tensorrt-rtx": "pip install --no-deps tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings",
}
OLDEST: dict[str, tuple[int, int]] = {"tensorrt": (10, 3), "tensorrt-rtx": (1, 0)}
WIDEST_FUSED_HEAD = 256
"""Maximum channels per head for which FP16 attention is one kernel; values must be as wide as queries."""


class TensorRT(Protocol):
    """The part of the module that is needed to build and run engines."""

    @property
    def Builder(self) -> "type[trt.Builder]": ...  # noqa: N802 - TensorRT's own names
    @property
    def BuilderFlag(self) -> "type[trt.BuilderFlag]": ...  # noqa: N802
    @property
    def Dims(self) -> "type[trt.Dims]": ...  # noqa: N802
    @property
    def ExecutionContextAllocationStrategy(self) -> "type[trt.ExecutionContextAllocationStrategy]": ...  # noqa: N802
    @property
    def HardwareCompatibilityLevel(self) -> "type[trt.HardwareCompatibilityLevel]": ...  # noqa: N802
    @property
    def ILogger(self) -> "type[trt.ILogger]": ...  # noqa: N802
    @property
    def IProgressMonitor(self) -> "type[trt.IProgressMonitor]": ...  # noqa: N802
    @property
    def LayerInformationFormat(self) -> "type[trt.LayerInformationFormat]": ...  # noqa: N802
    @property
    def MemoryPoolType(self) -> "type[trt.MemoryPoolType]": ...  # noqa: N802
    @property
    def NetworkDefinitionCreationFlag(self) -> "type[trt.NetworkDefinitionCreationFlag]": ...  # noqa: N802
    @property
    def OnnxParser(self) -> "type[trt.OnnxParser]": ...  # noqa: N802
    @property
    def OnnxParserRefitter(self) -> "type[trt.OnnxParserRefitter]": ...  # noqa: N802
    @property
    def ProfilingVerbosity(self) -> "type[trt.ProfilingVerbosity]": ...  # noqa: N802
    @property
    def Refitter(self) -> "type[trt.Refitter]": ...  # noqa: N802
    @property
    def Runtime(self) -> "type[trt.Runtime]": ...  # noqa: N802
    @property
    def nptype(self) -> "Callable[[trt.DataType], type[Any]]": ...


def load_library(backend: Backend) -> TensorRT:
    """Import TensorRT, or TensorRT for RTX. Raises SessionError if it is missing, broken or too old."""
    for name in MODULES[backend]:
        try:
            library = cast(TensorRT, importlib.import_module(name))
        except ModuleNotFoundError:
            continue
        except (ImportError, OSError) as error:  # a linked library is missing
            reason = str(error).splitlines()[0]
            raise SessionError(f"{backend}: installed but cannot be loaded: {reason}; {INSTALL[backend]}") from None
        return _new_enough(library, backend)
    raise SessionError(f"{backend} is not installed; {INSTALL[backend]}")


def version_of(library: TensorRT) -> str:
    """The version of the library, which the protocol of a module cannot declare."""
    return str(vars(library)["__version__"])


def _new_enough(library: TensorRT, backend: Backend) -> TensorRT:
    oldest = OLDEST[backend]
    if tuple(int(part) for part in version_of(library).split(".")[:2]) < oldest:
        wanted = ".".join(map(str, oldest))
        raise SessionError(f"{backend} {version_of(library)} is too old; {wanted} or newer is needed (JetPack 6.2)")
    return library
