"""The machine as files and commands, so that tests can imitate other boards."""

import math
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

PATIENCE_S = 10.0  # time limit of a command that should answer at once


class Host:
    """Files below a root, and commands."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def text(self, path: str) -> str | None:
        """The content of a file, stripped; None if it cannot be read or is empty."""
        try:
            return (self._root / path).read_text(errors="replace").strip("\0 \n") or None
        except OSError:
            return None

    def number(self, path: str) -> float | None:
        """The number in a file, or None."""
        return as_number(self.text(path))

    def glob(self, pattern: str) -> list[str]:
        """Matching paths, relative to the root, sorted."""
        return sorted(str(path.relative_to(self._root)) for path in self._root.glob(pattern))

    def follow(self, command: Sequence[str]) -> "Monitor | None":
        """Start a command that prints a line of readings now and then; None if it is missing. Close it at the end."""
        try:
            return Monitor(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
        except OSError:
            return None

    def says(self, command: Sequence[str], lines: int | None = None) -> str | None:
        """The output of a command. lines: number of lines to read from a command that does not end by itself.

        None if the command is missing, fails, or takes too long.
        """
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        except OSError:
            return None
        with process:
            try:
                if lines is not None and process.stdout is not None:
                    return "".join(process.stdout.readline() for _ in range(lines)).strip() or None
                said = process.communicate(timeout=PATIENCE_S)[0].strip()
                return said if said and process.returncode == 0 else None
            except subprocess.TimeoutExpired:
                return None
            finally:
                process.kill()


class Monitor:
    """A running command whose last line is read without waiting for it."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process, self._line, self._rest = process, b"", b""
        if process.stdout is not None:
            os.set_blocking(process.stdout.fileno(), False)

    def latest(self) -> str | None:
        """The last whole line; None before the first, and once the command has ended."""
        while self._process.stdout is not None and (data := self._process.stdout.read(1 << 16)):
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._line = lines[-1] if lines else self._line
        ended = self._process.poll() is not None
        return None if ended else self._line.decode(errors="replace").strip() or None

    def close(self) -> None:
        """End the command."""
        self._process.kill()
        with self._process:
            pass


def as_number(text: str | None) -> float | None:
    """A finite number, or None for anything else, such as "[N/A]"."""
    try:
        number = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
