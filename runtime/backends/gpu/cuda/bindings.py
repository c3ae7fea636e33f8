"""CUDA through NVIDIA's cuda-bindings: the runtime API, which uses the device's primary context in every thread."""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from cuda.bindings import runtime as cudart
from masklet.runtime.backends.gpu.cuda.protocol import DeviceFacts
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import SessionError

DEVICE = 0  # CUDA_VISIBLE_DEVICES selects the GPU


class CudaBindings:
    """See `Cuda`."""

    def __init__(self) -> None:
        _said("cudaSetDevice", cudart.cudaSetDevice(DEVICE))
        self._facts = _facts()
        flags = cudart.cudaStreamNonBlocking
        self._stream = int(_said("cudaStreamCreateWithFlags", cudart.cudaStreamCreateWithFlags(flags)))
        self._graphs: dict[int, Any] = {}
        self._pinned: dict[int, int] = {}  # address of the array -> address to free

    @property
    def facts(self) -> DeviceFacts:
        return self._facts

    @property
    def stream(self) -> int:
        return self._stream

    def allocate(self, nbytes: int) -> int:
        return int(_said(f"cudaMalloc of {nbytes / 1e6:.0f} MB", cudart.cudaMalloc(nbytes)))

    def free(self, address: int) -> None:
        _said("cudaFree", cudart.cudaFree(address))

    def allocate_host(self, nbytes: int) -> tuple[Tensor, int]:
        flags = cudart.cudaHostAllocMapped
        pointer = int(_said(f"cudaHostAlloc of {nbytes / 1e6:.0f} MB", cudart.cudaHostAlloc(nbytes, flags)))
        memory = np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(pointer))
        return memory, int(_said("cudaHostGetDevicePointer", cudart.cudaHostGetDevicePointer(pointer, 0)))

    def free_host(self, memory: Tensor) -> None:
        _said("cudaFreeHost", cudart.cudaFreeHost(memory.ctypes.data))

    def upload(self, address: int, source: Tensor) -> None:
        self._copy(address, source.ctypes.data, source.nbytes, cudart.cudaMemcpyKind.cudaMemcpyHostToDevice)

    def download(self, target: Tensor, address: int) -> None:
        self._copy(target.ctypes.data, address, target.nbytes, cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost)

    def copy(self, target: int, source: int, nbytes: int) -> None:
        self._copy(target, source, nbytes, cudart.cudaMemcpyKind.cudaMemcpyDeviceToDevice)

    def synchronize(self) -> None:
        _said("cudaStreamSynchronize", cudart.cudaStreamSynchronize(self._stream))

    def capture(self, work: Callable[[], None]) -> int | None:
        mode = cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        _said("cudaStreamBeginCapture", cudart.cudaStreamBeginCapture(self._stream, mode))
        try:
            work()
        finally:
            graph = _said("cudaStreamEndCapture", cudart.cudaStreamEndCapture(self._stream))
        runnable = _said("cudaGraphInstantiate", cudart.cudaGraphInstantiate(graph, 0))
        _said("cudaGraphDestroy", cudart.cudaGraphDestroy(graph))
        self._graphs[int(runnable)] = runnable
        return int(runnable)

    def launch(self, graph: int) -> None:
        _said("cudaGraphLaunch", cudart.cudaGraphLaunch(self._graphs[graph], self._stream))

    def close(self) -> None:
        for graph in self._graphs.values():
            _said("cudaGraphExecDestroy", cudart.cudaGraphExecDestroy(graph))
        self._graphs.clear()
        if self._stream:
            _said("cudaStreamDestroy", cudart.cudaStreamDestroy(self._stream))
            self._stream = 0

    def _copy(self, target: int, source: int, nbytes: int, kind: Any) -> None:
        _said("cudaMemcpyAsync", cudart.cudaMemcpyAsync(target, source, nbytes, kind, self._stream))


def _said(call: str, answer: tuple[Any, ...]) -> Any:
    """The result of a call. Raises SessionError if it failed."""
    error, *results = answer
    if error == cudart.cudaError_t.cudaSuccess:
        return results[0] if results else None
    if error == cudart.cudaError_t.cudaErrorInsufficientDriver:
        raise SessionError("no NVIDIA driver, or it is too old for the installed CUDA; install or update it")
    if error == cudart.cudaError_t.cudaErrorNoDevice:
        raise SessionError("CUDA sees no GPU; does CUDA_VISIBLE_DEVICES name an existing GPU?")
    if error == cudart.cudaError_t.cudaErrorMemoryAllocation:
        raise SessionError(f"out of GPU memory at {call}; track fewer objects at once, or give a smaller --max-side")
    raise SessionError(f"CUDA failed at {call}: {error.name}")


def _facts() -> DeviceFacts:
    found = _said("cudaGetDeviceProperties", cudart.cudaGetDeviceProperties(DEVICE))
    version = int(_said("cudaDriverGetVersion", cudart.cudaDriverGetVersion()))
    return DeviceFacts(
        name=found.name.decode().rstrip("\0"),
        compute_capability=f"{found.major}.{found.minor}",
        driver=f"CUDA {version // 1000}.{version % 1000 // 10}",
        memory_bytes=int(found.totalGlobalMem),
        integrated=bool(found.integrated),
    )
