"""TensorRT for RTX: engines that are built without a GPU and run on RTX cards."""

from typing import TYPE_CHECKING

from masklet.runtime.backends.engines.tensorrt import CUDA_GRAPHS
from masklet.runtime.backends.kind import BackendKind, Settings

if TYPE_CHECKING:
    from masklet.runtime.backends.session import ChosenBackend


def create(threads: int | None, settings: Settings) -> "ChosenBackend":
    """TensorRT for RTX on the GPU."""
    from masklet.runtime.backends.trt.backend import TensorRt

    return TensorRt("tensorrt-rtx", graphs=settings.get("cuda_graphs", False))


BACKEND = BackendKind(
    "tensorrt-rtx",
    "TensorRT for RTX engines of `masklet build`, on RTX GPUs",
    create,
    extra="tensorrt",
    options=(CUDA_GRAPHS,),
    on_cpu=lambda settings: False,
)
