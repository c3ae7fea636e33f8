"""Pools of GPU memory and pinned host memory, for `DeviceArray`s.

All work runs in order on one stream. So a block of device memory can be reused as soon as nothing refers to it, while
pinned host memory can be reused only after waiting for the stream.
"""

import math
import threading
import weakref
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from masklet.runtime.backends.gpu.cuda.protocol import Cuda
from masklet.runtime.backends.gpu.device_array import DeviceArray
from masklet.runtime.bundle.spec import Tensor

ALIGNMENT = 256  # of a block, in bytes; TensorRT requires it
MAPPED_BYTES = 1 << 16  # smaller inputs are used in place if device and host share memory


@dataclass(frozen=True, slots=True)
class _Pinned:
    memory: Tensor  # uint8 [nbytes]
    address: int  # on the device


class DeviceMemory:
    """A pool of memory on one GPU."""

    def __init__(self, cuda: Cuda) -> None:
        self.cuda = cuda
        self._free: defaultdict[int, list[int]] = defaultdict(list)  # addresses by bytes
        self._all: set[int] = set()
        self._pinned_free: defaultdict[int, list[_Pinned]] = defaultdict(list)
        self._pinned_used: list[_Pinned] = []
        self._pinned_all: list[_Pinned] = []
        # an array is released by whichever thread drops the last reference or collects garbage, even holding this lock
        self._lock = threading.RLock()
        self._closed = False
        self._taken = 0

    @property
    def device_bytes(self) -> int:
        """Allocated bytes on the device, including free blocks of the pool."""
        return self._taken

    def empty(self, shape: Sequence[int], dtype: np.dtype[Any]) -> DeviceArray:
        """A new array with undefined values."""
        nbytes = _rounded(math.prod(shape) * dtype.itemsize)
        address = self._take(nbytes)
        block = _Block()
        weakref.finalize(block, self._give_back, nbytes, address).atexit = False
        return DeviceArray(self, tuple(shape), dtype, address, block)

    def upload(self, array: Tensor) -> DeviceArray:
        """A copy on the device; if host and device share memory, small arrays are used where they are staged."""
        staged = self._stage(array)
        if self.cuda.facts.integrated and array.nbytes <= MAPPED_BYTES:
            return DeviceArray(self, array.shape, array.dtype, staged.address, staged)
        target = self.empty(array.shape, array.dtype)
        self.cuda.upload(target.address, staged.memory[: array.nbytes])
        return target

    def write(self, target: DeviceArray, source: "Tensor | DeviceArray") -> None:
        """Copy values into an array of the same shape: from the host, or of the same type from the device."""
        if isinstance(source, DeviceArray) and source.dtype == target.dtype:
            self.cuda.copy(target.address, source.address, source.nbytes)
        else:
            values = np.ascontiguousarray(source, target.dtype)
            self.cuda.upload(target.address, self._stage(values).memory[: values.nbytes])

    def download(self, *arrays: DeviceArray) -> list[Tensor]:
        """Copy arrays to the host; waits once for all of them."""
        staged = [self._take_pinned(array.nbytes) for array in arrays]
        for array, pinned in zip(arrays, staged, strict=True):
            self.cuda.download(pinned.memory[: array.nbytes], array.address)
        self.synchronize()
        return [
            pinned.memory[: array.nbytes].view(array.dtype).reshape(array.shape).copy()
            for array, pinned in zip(arrays, staged, strict=True)
        ]

    def synchronize(self) -> None:
        """Wait for the stream; staged memory can then be reused."""
        self.cuda.synchronize()
        with self._lock:
            for pinned in self._pinned_used:
                self._pinned_free[pinned.memory.nbytes].append(pinned)
            self._pinned_used.clear()

    def trim(self) -> None:
        """Free unreferenced memory on the device. Staged memory stays, because it may still be read."""
        self.cuda.synchronize()
        with self._lock:
            free, self._free = self._free, defaultdict(list)
            for nbytes, addresses in free.items():
                for address in addresses:
                    self.cuda.free(address)
                    self._all.remove(address)
                    self._taken -= nbytes

    def close(self) -> None:
        """Free all memory on the device; its arrays become invalid."""
        if self._closed:
            return
        self.synchronize()
        self._closed = True
        for address in self._all:
            self.cuda.free(address)
        for pinned in self._pinned_all:
            self.cuda.free_host(pinned.memory)
        self._all.clear()
        self._pinned_all.clear()

    def _take(self, nbytes: int) -> int:
        with self._lock:
            free = self._free[nbytes]
            if free:
                return free.pop()
        address = self.cuda.allocate(nbytes)
        with self._lock:
            self._all.add(address)
            self._taken += nbytes
        return address

    def _give_back(self, nbytes: int, address: int) -> None:
        with self._lock:
            self._free[nbytes].append(address)

    def _stage(self, array: Tensor) -> _Pinned:
        pinned = self._take_pinned(array.nbytes)
        pinned.memory[: array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        return pinned

    def _take_pinned(self, nbytes: int) -> _Pinned:
        size = _rounded(nbytes)
        with self._lock:
            free = self._pinned_free[size]
            pinned = free.pop() if free else None
        if pinned is None:
            pinned = _Pinned(*self.cuda.allocate_host(size))
            self._pinned_all.append(pinned)
        self._pinned_used.append(pinned)
        return pinned


class _Block:
    """A block of device memory; it returns to the pool when nothing refers to it."""

    __slots__ = ("__weakref__",)


def _rounded(nbytes: int) -> int:
    return max(ALIGNMENT, -(-nbytes // ALIGNMENT) * ALIGNMENT)
