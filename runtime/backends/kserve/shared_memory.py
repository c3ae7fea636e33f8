"""Memory that this process and a server on the same machine both see, so that tensors do not travel through gRPC.

The extension "system_shared_memory" of the protocol: a region of /dev/shm is registered by name with the server, and a
request then names region, offset and bytes of each tensor.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from masklet.runtime.backends.kserve.connection import Connection
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import SessionError

EXTENSION = "system_shared_memory"
ALIGNMENT = 64  # of a tensor in a region, in bytes
SMALLEST = 1 << 16  # bytes of a region


class SharedRegion:
    """A region that is registered with the server, for one call at a time.

    Raises SessionError if the server cannot open it, because it runs elsewhere or sees another /dev/shm.
    """

    def __init__(self, connection: Connection, size: int) -> None:
        self._connection = connection
        try:
            self._memory = SharedMemory(create=True, size=size)
        except OSError as error:
            raise SessionError(f"no shared memory of {size} bytes: {error.strerror}") from None
        self.size, self._outages = size, -1
        self.name = f"masklet-{os.getpid()}-{self._memory.name.lstrip('/')}"
        try:
            self.register()
        except SessionError:
            self.close()
            raise

    def register(self) -> None:
        """Make the region known to the server, again if it was restarted."""
        self._outages, client = self._connection.outages, self._connection.client
        with suppress(SessionError):
            self._connection.ask(client.unregister_system_shared_memory, self.name)
        key = f"/{self._memory.name.lstrip('/')}"
        self._connection.ask(client.register_system_shared_memory, self.name, key, self.size)

    @property
    def is_registered(self) -> bool:
        """Whether the server has not been lost since the region was registered."""
        return self._outages == self._connection.outages

    def view(self, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Tensor:
        """A tensor in the region. It must not be kept: the region cannot be closed while it exists."""
        return np.ndarray(shape, dtype, self._memory.buf, offset)

    def close(self) -> None:
        """Unregister and free it."""
        with suppress(SessionError):
            self._connection.ask(self._connection.client.unregister_system_shared_memory, self.name)
        self._memory.close()
        self._memory.unlink()


class SharedRegions:
    """The regions of a stage: as many as there were calls at the same time, each as large as was needed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._free: list[SharedRegion] = []

    @contextmanager
    def region(self, size: int) -> Iterator[SharedRegion]:
        """A region of at least so many bytes, while the block runs."""
        region = self._free.pop() if self._free else None
        if region is not None and region.size < size:
            region.close()
            region = None
        region = region or SharedRegion(self._connection, max(SMALLEST, 1 << (size - 1).bit_length()))
        try:
            if not region.is_registered:
                region.register()
            yield region
        finally:
            self._free.append(region)

    def close(self) -> None:
        """Free all regions."""
        while self._free:
            self._free.pop().close()


def can_share(connection: Connection) -> bool:
    """Whether the server offers shared memory and can open ours, which it can on the same machine only."""
    if EXTENSION not in connection.extensions:
        return False
    try:
        SharedRegion(connection, SMALLEST).close()
    except SessionError:
        return False
    return True


def offsets(sizes: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """The offset of each tensor, by name, one after another; and the bytes of all. sizes: bytes by name."""
    places: dict[str, int] = {}
    end = 0
    for name, size in sizes.items():
        places[name] = end
        end += size + -size % ALIGNMENT
    return places, end
