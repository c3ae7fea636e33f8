"""CUDA through pycuda: the driver API on the device's primary context, as TensorRT uses. pycuda has no CUDA graphs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pycuda.driver as driver
from masklet.runtime.backends.gpu.cuda.protocol import DeviceFacts
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import SessionError

DEVICE = 0  # CUDA_VISIBLE_DEVICES selects the GPU
NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING, which pycuda does not name


class PyCuda:
    """See `Cuda`."""

    def __init__(self) -> None:
        try:
            driver.init()
            device = driver.Device(DEVICE)
        except driver.Error as error:
            raise SessionError(f"no NVIDIA driver or no GPU: {error}; install or update the driver") from None
        self._allocated: dict[int, driver.DeviceAllocation] = {}
        self._host: dict[int, Any] = {}  # pycuda's arrays, whose base frees them
        self._context = device.retain_primary_context()
        with self._current("cuStreamCreate"):
            self._stream = driver.Stream(NON_BLOCKING)
            self._facts = _facts(device)

    @property
    def facts(self) -> DeviceFacts:
        return self._facts

    @property
    def stream(self) -> int:
        return int(self._stream.handle)

    def allocate(self, nbytes: int) -> int:
        with self._current(f"cuMemAlloc of {nbytes / 1e6:.0f} MB"):
            memory = driver.mem_alloc(nbytes)
        self._allocated[int(memory)] = memory
        return int(memory)

    def free(self, address: int) -> None:
        with self._current("cuMemFree"):
            self._allocated.pop(address).free()

    def allocate_host(self, nbytes: int) -> tuple[Tensor, int]:
        with self._current(f"cuMemHostAlloc of {nbytes / 1e6:.0f} MB"):
            memory = driver.pagelocked_empty(nbytes, np.uint8, mem_flags=driver.host_alloc_flags.DEVICEMAP)
            address = int(memory.base.get_device_pointer())
        self._host[memory.ctypes.data] = memory
        return memory, address

    def free_host(self, memory: Tensor) -> None:
        with self._current("cuMemFreeHost"):
            self._host.pop(memory.ctypes.data).base.free()

    def upload(self, address: int, source: Tensor) -> None:
        with self._current("cuMemcpyHtoDAsync"):
            driver.memcpy_htod_async(address, source, self._stream)

    def download(self, target: Tensor, address: int) -> None:
        with self._current("cuMemcpyDtoHAsync"):
            driver.memcpy_dtoh_async(target, address, self._stream)

    def copy(self, target: int, source: int, nbytes: int) -> None:
        with self._current("cuMemcpyDtoDAsync"):
            driver.memcpy_dtod_async(target, source, nbytes, self._stream)

    def synchronize(self) -> None:
        with self._current("cuStreamSynchronize"):
            self._stream.synchronize()

    def capture(self, work: Callable[[], None]) -> int | None:
        return None

    def launch(self, graph: int) -> None:
        raise SessionError("pycuda has no CUDA graphs; pip install cuda-bindings")

    def close(self) -> None:
        with self._current("cuStreamDestroy"):
            self._stream = None

    @contextmanager
    def _current(self, call: str) -> Iterator[None]:
        """Push the context for one call: pycuda aborts if a thread ends with a context on its stack."""
        self._context.push()
        try:
            yield
        except driver.MemoryError:
            raise SessionError(
                f"out of GPU memory at {call}; track fewer objects at once, or give a smaller --max-side"
            ) from None
        except driver.Error as error:
            raise SessionError(f"CUDA failed at {call}: {error}") from None
        finally:
            driver.Context.pop()


def _facts(device: "driver.Device") -> DeviceFacts:
    major, minor = device.compute_capability()
    version = driver.get_driver_version()
    return DeviceFacts(
        name=device.name(),
        compute_capability=f"{major}.{minor}",
        driver=f"CUDA {version // 1000}.{version % 1000 // 10}",
        memory_bytes=device.total_memory(),
        integrated=bool(device.get_attribute(driver.device_attribute.INTEGRATED)),
    )
