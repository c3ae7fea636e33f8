"""Output files, written incrementally or as a whole; errors of a full or broken disk become one line."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from masklet.runtime.errors import SinkError


def check_parent(path: Path) -> None:
    """Raise SinkError if the folder of `path` does not exist."""
    if not path.parent.is_dir():
        raise SinkError(f"{path}: there is no folder {path.parent}; create it first")


def check_writable(path: Path) -> None:
    """Raise SinkError if a file cannot be written at `path`; leaves no file."""
    check_parent(path)
    if path.is_dir():
        raise SinkError(f"{path}: is a folder; give a file")
    if _is_special(path):
        return
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise SinkError(f"{path}: cannot be written: {error.strerror}") from None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file completely or not at all; write directly to a pipe or device. Raises SinkError if that fails."""
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
    """An unbuffered file for writing: data passed to `write` survives the process. An existing file is replaced.

    path: "-" for standard output.
    keep: continue an existing file after this number of bytes, instead of replacing it.
    Raises SinkError if the file cannot be opened, and from `write` if the disk is full.
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
        """Write all of the data; if the disk becomes full, a part may have been written."""
        rest = memoryview(data)
        try:
            while len(rest):
                taken = self._file.write(rest)
                rest = rest[taken:]
                self.written += taken
        except OSError as error:
            raise SinkError(f"{self.path}: {error.strerror}, after {self.written} bytes were written") from None
        return len(data)

    def tell(self) -> int:
        """Bytes in the file, for libraries that write to it."""
        return self.written

    def flush(self) -> None:
        """Does nothing: the file is unbuffered."""

    def drop_after(self, size: int) -> None:
        """Truncate the file to `size` bytes; has no effect on a pipe or a device."""
        with suppress(OSError):
            os.ftruncate(self._file.fileno(), size)
            self._file.seek(size)

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()
