"""One archive at a time writes to a folder."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from masklet.runtime.errors import SinkError

if sys.platform != "win32":
    import fcntl

LOCK = ".lock"  # names who holds it, or held it last


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold a folder, which is made if it is not there, while the block runs.

    Raises SinkError if it cannot be written, or another archive, which is named, holds it. The operating system
    releases the lock of a process that died, whatever killed it; over NFS, too. Where the file system has no locks, as
    on Windows, none is held.
    """
    try:
        out.mkdir(exist_ok=True)
        descriptor = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise SinkError(f"{out}: cannot be written: {error.strerror}; give a folder, whose parent exists") from None
    try:
        if not _taken(descriptor):
            holder = os.read(descriptor, 1000).decode(errors="replace").strip() or "another process"
            raise SinkError(f"{out}: {holder} runs an archive there; wait until it ends, or give another folder")
        _name_holder(out, descriptor)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _name_holder(out: Path, descriptor: int) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    except OSError as error:
        raise SinkError(f"{out}: cannot be written: {error.strerror}; make room, then repeat the command") from None
