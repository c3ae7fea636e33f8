"""TensorRT: the engines that `masklet build` makes, on the GPU that they were built for."""

from typing import TYPE_CHECKING

from masklet.runtime.backends.kind import BackendKind, Settings
from masklet.runtime.option import Option

if TYPE_CHECKING:
    from masklet.runtime.backends.session import ChosenBackend

CUDA_GRAPHS = Option("cuda_graphs", "Replay each shape as a CUDA graph.", bool, False)


def create(threads: int | None, settings: Settings) -> "ChosenBackend":
    """TensorRT on the GPU."""
    from masklet.runtime.backends.trt.backend import TensorRt

    return TensorRt("tensorrt", graphs=settings.get("cuda_graphs", False))


BACKEND = BackendKind(
    "tensorrt",
    "TensorRT engines of `masklet build`, on Jetson and datacenter GPUs",
    create,
    extra="tensorrt",
    options=(CUDA_GRAPHS,),
    on_cpu=lambda settings: False,
)
