"""The protocol of the CUDA adapters. Addresses and streams are integers, host memory is a numpy array."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from masklet.runtime.bundle.spec import Tensor


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """The GPU in use. integrated: it shares the host's memory, as on a Jetson."""

    name: str
    compute_capability: str
    driver: str
    memory_bytes: int
    integrated: bool


class Cuda(Protocol):
    """One GPU and one non-default stream, on which all work runs in order.

    Methods may be called from any thread. They raise SessionError naming the call and CUDA's error, and for memory the
    requested size.
    """

    @property
    def facts(self) -> DeviceFacts: ...

    @property
    def stream(self) -> int:
        """The handle of the stream."""
        ...

    def allocate(self, nbytes: int) -> int:
        """Allocate device memory. Returns its address."""
        ...

    def free(self, address: int) -> None: ...

    def allocate_host(self, nbytes: int) -> tuple[Tensor, int]:
        """Allocate pinned host memory, mapped to the device: uint8 [nbytes], and its address on the device."""
        ...

    def free_host(self, memory: Tensor) -> None:
        """Free memory from `allocate_host`."""
        ...

    def upload(self, address: int, source: Tensor) -> None:
        """Start copying pinned memory to the device."""
        ...

    def download(self, target: Tensor, address: int) -> None:
        """Start copying device memory to pinned memory."""
        ...

    def copy(self, target: int, source: int, nbytes: int) -> None:
        """Start copying within the device."""
        ...

    def synchronize(self) -> None:
        """Wait until all started work is done."""
        ...

    def capture(self, work: Callable[[], None]) -> int | None:
        """Record the work that `work` starts as a CUDA graph, without running it; None if there are no CUDA graphs."""
        ...

    def launch(self, graph: int) -> None:
        """Start a captured graph."""
        ...

    def close(self) -> None:
        """Destroy the stream; owners of memory free it themselves."""
        ...
