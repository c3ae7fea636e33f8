"""Files that results are written to, as they come or whole, with the errors of a full or broken disk as one line."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from masklet.runtime.errors import SinkError


def check_parent(path: Path) -> None:
    """Raise SinkError where the folder that is to hold `path` is not there."""
    if not path.parent.is_dir():
        raise SinkError(f"{path}: there is no folder {path.parent}; make it first")


def check_writable(path: Path) -> None:
    """Raise SinkError where a file cannot be written at `path`; leaves nothing behind."""
    check_parent(path)
    if path.is_dir():
        raise SinkError(f"{path}: is a folder; name a file")
    if _is_special(path):
        return
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise SinkError(f"{path}: cannot be written: {error.strerror}") from None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; a pipe or device takes it as it is. Raises SinkError where that fails."""
    try:
        if _is_special(path):
            path.write_bytes(data)
            return
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            beside.write_bytes(data)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise SinkError(f"{path}: cannot be written: {error.strerror}") from None


def _is_special(path: Path) -> bool:
    return path.exists() and not path.is_file()


STANDARD_OUTPUT = Path("-")


class OutputFile:
    """A file open for writing, unbuffered: what `write` has taken survives the process. An old file is replaced.

    path: "-" for standard output.
    keep: go on after so many bytes of a file that is there, rather than replace it.
    Raises SinkError at once where it cannot be opened, and from `write` where the disk is full.
    """

    def __init__(self, path: Path, keep: int | None = None) -> None:
        self.path = path
        self.written = keep or 0
        check_parent(path)
        try:
            target = os.dup(1) if path == STANDARD_OUTPUT else path
            self._file = open(target, "wb" if keep is None else "r+b", buffering=0)  # noqa: SIM115 closed by close()
            if keep is not None:
                self._file.truncate(keep)
                self._file.seek(keep)
        except OSError as error:
            raise SinkError(f"{path}: cannot be written: {error.strerror}") from None

    def write(self, data: bytes) -> int:
        """Write all of the data; a disk that fills up may take a part of it."""
        rest = memoryview(data)
        try:
            while len(rest):
                taken = self._file.write(rest)
                rest = rest[taken:]
                self.written += taken
        except OSError as error:
            raise SinkError(f"{self.path}: {error.strerror}, after {self.written} bytes were written") from None
        return len(data)

    def drop_after(self, size: int) -> None:
        """Cut off what was written beyond `size` bytes; a pipe or a device keeps it."""
        with suppress(OSError):
            os.ftruncate(self._file.fileno(), size)
            self._file.seek(size)

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()
