"""The part of CUDA that engines need: one small protocol, two adapters, which are imported when used.

cuda = open_cuda()            # cuda-bindings, or pycuda if only that is installed
"""

from collections.abc import Callable
from importlib.util import find_spec

from masklet.runtime.backends.gpu.cuda.protocol import Cuda
from masklet.runtime.errors import SessionError

ADAPTERS = ("cuda-bindings", "pycuda")


def installed_adapters() -> list[str]:
    """The adapters whose package is installed, the default first."""
    return [name for name in ADAPTERS if _is_installed(name)]


def open_cuda(adapter: str | None = None) -> Cuda:
    """Open the first GPU of this process.

    adapter: "cuda-bindings" or "pycuda"; None for the first of them that is installed.
    Raises SessionError if neither is installed or can be loaded, or if there is no driver or GPU.
    """
    names = installed_adapters() if adapter is None else [adapter]
    if not names or not _is_installed(names[0]):
        raise SessionError(f"{names[0] if names else 'cuda-bindings'} is not installed; pip install cuda-bindings")
    try:
        if names[0] == "pycuda":
            from masklet.runtime.backends.gpu.cuda.pycuda import PyCuda

            adapter_class: Callable[[], Cuda] = PyCuda
        else:
            from masklet.runtime.backends.gpu.cuda.bindings import CudaBindings

            adapter_class = CudaBindings
    except ImportError as error:  # a linked library is missing, such as the driver's in a container
        raise SessionError(
            f"{names[0]}: installed but cannot be loaded: {str(error).splitlines()[0]}; "
            "is there an NVIDIA driver (in a container: was it started with --gpus all)?"
        ) from None
    return adapter_class()


def _is_installed(adapter: str) -> bool:
    try:
        return find_spec({"cuda-bindings": "cuda.bindings", "pycuda": "pycuda"}[adapter]) is not None
    except ModuleNotFoundError:  # the parent package `cuda` is missing
        return False
