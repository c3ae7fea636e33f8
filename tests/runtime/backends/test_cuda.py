"""The adapters to CUDA without a GPU: pycuda's driver is stood in for, with its stack of contexts in each thread."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from command_line import Cli
from masklet.runtime.backends.gpu import cuda
from masklet.runtime.errors import SessionError


class DriverError(Exception):
    """pycuda.driver.Error."""


class DriverMemoryError(DriverError):
    """pycuda.driver.MemoryError."""


class FakeDriver(ModuleType):
    """pycuda.driver. What works on the device fails where no context is current in its thread, or with `failing`."""

    def __init__(self) -> None:
        super().__init__("pycuda.driver")
        self.stacks = threading.local()
        self.failing: Exception | None = None
        self.freed: list[str] = []
        self.Error, self.MemoryError = DriverError, DriverMemoryError
        self.Context = SimpleNamespace(pop=lambda: self.stack.pop())
        self.host_alloc_flags = SimpleNamespace(DEVICEMAP=2)
        self.device_attribute = SimpleNamespace(INTEGRATED=18)
        for name in ("memcpy_htod_async", "memcpy_dtoh_async", "memcpy_dtod_async"):
            setattr(self, name, self.on_device(name))

    @property
    def stack(self) -> list[str]:
        if not hasattr(self.stacks, "contexts"):
            self.stacks.contexts = []
        contexts: list[str] = self.stacks.contexts
        return contexts

    def on_device(self, name: str, result: object = None) -> Callable[..., Any]:
        def call(*args: object, **options: object) -> object:
            if not self.stack:
                raise DriverError(f"{name}: invalid device context")
            if self.failing:
                raise self.failing
            if name.endswith("free"):
                self.freed.append(name)
            return result

        return call

    def init(self) -> None: ...

    def get_driver_version(self) -> int:
        return 12080

    def Device(self, index: int) -> Any:  # noqa: N802 - pycuda's name
        return SimpleNamespace(
            retain_primary_context=lambda: SimpleNamespace(push=lambda: self.stack.append("primary")),
            compute_capability=lambda: (8, 7),
            name=lambda: "Orin",
            total_memory=lambda: 8 << 30,
            get_attribute=lambda attribute: 1,
        )

    def Stream(self, flags: int) -> Any:  # noqa: N802
        self.on_device("cuStreamCreate")()
        return SimpleNamespace(handle=5, synchronize=self.on_device("cuStreamSynchronize"))

    def mem_alloc(self, nbytes: int) -> Any:
        self.on_device("cuMemAlloc")()

        class Allocation(int):
            free = staticmethod(self.on_device("device free"))

        return Allocation(4096)

    def pagelocked_empty(self, nbytes: int, dtype: type, mem_flags: int) -> Any:
        self.on_device("cuMemHostAlloc")()
        return SimpleNamespace(
            ctypes=SimpleNamespace(data=8192),
            base=SimpleNamespace(get_device_pointer=lambda: 8192, free=self.on_device("host free")),
        )


def forget(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Import them anew in this test, and as ever after it."""
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    made = FakeDriver()
    forget(monkeypatch, "masklet.runtime.backends.gpu.cuda.pycuda")
    monkeypatch.setitem(sys.modules, "pycuda", SimpleNamespace(driver=made))
    monkeypatch.setitem(sys.modules, "pycuda.driver", made)
    return made


def opened() -> Any:
    from masklet.runtime.backends.gpu.cuda.pycuda import PyCuda

    return PyCuda()


def everything(gpu: Any) -> dict[str, Callable[[], object]]:
    """Every call that works on the device, with fitting arguments."""
    host, address = np.zeros(256, np.uint8), gpu.allocate(256)
    pinned, _ = gpu.allocate_host(256)
    return {
        "cuMemAlloc of 4 MB": lambda: gpu.allocate(4_000_000),
        "cuMemHostAlloc of 0 MB": lambda: gpu.allocate_host(256),
        "cuMemcpyHtoDAsync": lambda: gpu.upload(address, host),
        "cuMemcpyDtoHAsync": lambda: gpu.download(host, address),
        "cuMemcpyDtoDAsync": lambda: gpu.copy(address, address, 256),
        "cuStreamSynchronize": gpu.synchronize,
        "cuMemFree": lambda: gpu.free(address),
        "cuMemFreeHost": lambda: gpu.free_host(pinned),
    }


def test_pycuda_leaves_no_context_in_any_thread(driver: FakeDriver) -> None:
    """It aborts the process where a thread ends with one on its stack."""
    gpu = opened()
    assert gpu.facts.name == "Orin"
    assert gpu.stream == 5
    left: list[str] = []

    def work() -> None:
        for call in everything(gpu).values():
            call()
        left.append(f"{len(driver.stack)} contexts")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert left == ["0 contexts"]
    assert driver.freed == ["device free", "host free"]
    assert not driver.stack
    gpu.close()
    assert not driver.stack


def test_what_pycuda_refuses_is_one_line(driver: FakeDriver) -> None:
    gpu = opened()
    calls = everything(gpu)
    driver.failing = DriverError("an illegal memory access was encountered")
    for name, call in calls.items():
        with pytest.raises(SessionError, match=f"CUDA failed at {name}: an illegal memory access"):
            call()
    driver.failing = DriverMemoryError("out of memory")
    with pytest.raises(SessionError, match="out of GPU memory at cuMemAlloc of 4 MB; track fewer"):
        gpu.allocate(4_000_000)
    assert not driver.stack


def test_an_adapter_that_does_not_load_is_one_line(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that was started without the driver."""
    (tmp_path / "pycuda").mkdir()
    (tmp_path / "pycuda/__init__.py").touch()
    (tmp_path / "pycuda/driver.py").write_text("raise ImportError('libcuda.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(cuda, "ADAPTERS", ("pycuda",))
    forget(monkeypatch, "pycuda", "pycuda.driver", "masklet.runtime.backends.gpu.cuda.pycuda")
    with pytest.raises(SessionError, match=r"pycuda: installed but cannot be loaded: libcuda.so.1: .*--gpus all"):
        cuda.open_cuda()
    code, out, _ = cli("doctor")
    assert code == 0
    assert "CUDA: pycuda: installed but cannot be loaded: libcuda.so.1" in out


def test_no_gpu_is_said_by_the_bindings() -> None:
    bindings = pytest.importorskip("masklet.runtime.backends.gpu.cuda.bindings", exc_type=ImportError)
    with pytest.raises(SessionError, match="CUDA sees no GPU; does CUDA_VISIBLE_DEVICES"):
        bindings._said("cudaSetDevice", (bindings.cudart.cudaError_t.cudaErrorNoDevice, None))
