"""CUDA by pycuda: the driver API on the device's primary context, which TensorRT shares. pycuda has no CUDA graphs."""

import threading
from collections.abc import Callable

import numpy as np
import pycuda.driver as driver
from masklet.runtime.backends.cuda.protocol import DeviceFacts
from masklet.runtime.errors import SessionError
from masklet.runtime.spec import Tensor

DEVICE = 0  # CUDA_VISIBLE_DEVICES says which GPU that is
NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING, which pycuda does not name


class PyCuda:
    """See `Cuda`."""

    def __init__(self) -> None:
        try:
            driver.init()
            device = driver.Device(DEVICE)
        except driver.Error as error:
            raise SessionError(f"no NVIDIA driver or no GPU: {error}; install or update the driver") from None
        self._context = device.retain_primary_context()
        self._threads = threading.local()  # a context is current in the thread that pushed it
        self._enter()
        self._stream = driver.Stream(NON_BLOCKING)
        self._allocated: dict[int, driver.DeviceAllocation] = {}
        self._host: dict[int, Tensor] = {}  # the arrays that pycuda frees when they go
        major, minor = device.compute_capability()
        version = driver.get_driver_version()
        self._facts = DeviceFacts(
            name=device.name(),
            compute_capability=f"{major}.{minor}",
            driver=f"CUDA {version // 1000}.{version % 1000 // 10}",
            memory_bytes=device.total_memory(),
            integrated=bool(device.get_attribute(driver.device_attribute.INTEGRATED)),
        )

    @property
    def facts(self) -> DeviceFacts:
        return self._facts

    @property
    def stream(self) -> int:
        return int(self._stream.handle)

    def allocate(self, nbytes: int) -> int:
        self._enter()
        try:
            memory = driver.mem_alloc(nbytes)
        except driver.MemoryError:
            raise SessionError(
                f"out of GPU memory at {nbytes / 1e6:.0f} MB; track fewer objects at once, or give a smaller --max-side"
            ) from None
        self._allocated[int(memory)] = memory
        return int(memory)

    def free(self, address: int) -> None:
        self._enter()
        self._allocated.pop(address).free()

    def allocate_host(self, nbytes: int) -> tuple[Tensor, int]:
        self._enter()
        memory = driver.pagelocked_empty(nbytes, np.uint8, mem_flags=driver.host_alloc_flags.DEVICEMAP)
        self._host[memory.ctypes.data] = memory
        return memory, int(memory.base.get_device_pointer())

    def free_host(self, memory: Tensor) -> None:
        self._enter()
        del self._host[memory.ctypes.data]

    def upload(self, address: int, source: Tensor) -> None:
        self._enter()
        driver.memcpy_htod_async(address, source, self._stream)

    def download(self, target: Tensor, address: int) -> None:
        self._enter()
        driver.memcpy_dtoh_async(target, address, self._stream)

    def copy(self, target: int, source: int, nbytes: int) -> None:
        self._enter()
        driver.memcpy_dtod_async(target, source, nbytes, self._stream)

    def synchronize(self) -> None:
        self._enter()
        self._stream.synchronize()

    def capture(self, work: Callable[[], None]) -> int | None:
        return None

    def launch(self, graph: int) -> None:
        raise SessionError("pycuda has no CUDA graphs; pip install cuda-bindings")

    def close(self) -> None:
        """The context is the device's own and stays; leave it in the thread that is asked."""
        if getattr(self._threads, "entered", False):
            driver.Context.pop()
            self._threads.entered = False

    def _enter(self) -> None:
        if not getattr(self._threads, "entered", False):
            self._context.push()
            self._threads.entered = True
