"""What engines need of CUDA. Addresses and streams are plain integers, host memory is numpy's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from masklet.runtime.bundle.spec import Tensor


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """The GPU in use. integrated: it shares the host's memory, as a Jetson's does."""

    name: str
    compute_capability: str
    driver: str
    memory_bytes: int
    integrated: bool


class Cuda(Protocol):
    """One GPU and one non-default stream, on which everything is done in order.

    Every call may come from any thread. Raises SessionError naming the call and what CUDA said, and for memory how
    much was wanted.
    """

    @property
    def facts(self) -> DeviceFacts: ...

    @property
    def stream(self) -> int:
        """The stream's handle."""
        ...

    def allocate(self, nbytes: int) -> int:
        """Device memory; its address."""
        ...

    def free(self, address: int) -> None: ...

    def allocate_host(self, nbytes: int) -> tuple[Tensor, int]:
        """Pinned host memory that the device can address too: uint8 [nbytes], and its address on the device."""
        ...

    def free_host(self, memory: Tensor) -> None:
        """Give back what `allocate_host` returned."""
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
        """Wait until everything that was started is done."""
        ...

    def capture(self, work: Callable[[], None]) -> int | None:
        """Record what `work` starts as a CUDA graph, without running it; None where the adapter has no graphs."""
        ...

    def launch(self, graph: int) -> None:
        """Start a captured graph."""
        ...

    def close(self) -> None:
        """Give the stream back; memory is its owners' to free."""
        ...
