"""Where and when a report was made: without that, its figures cannot be compared or made again."""

import os
import platform
import shlex
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import msgspec

PACKAGES = ("masklet", "onnxruntime", "onnx", "numpy")
BUSY = 1.25  # runnable processes per core from which on times mean little


class Provenance(msgspec.Struct, frozen=True):
    """The circumstances of a report.

    date:    UTC, to the second.
    cpu:     the processor's name. cores: those that this process may use.
    load:    runnable processes in the last minute when the report was made; None where the system does not tell.
    command: the command line as it was typed.
    """

    date: str
    cpu: str
    cores: int
    load: float | None
    versions: dict[str, str]
    command: str

    @property
    def busy(self) -> bool:
        """Whether other work took the processor's time: one process of ours per core is not busy."""
        return self.load is not None and self.load > BUSY * self.cores

    def __str__(self) -> str:
        """In one line, for the foot of a page."""
        named = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        load = "" if self.load is None else f", load {self.load:.1f}"
        return f"{self.date} on {self.cpu}, {self.cores} cores{load}; {named}; {self.command}"


def provenance(now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)) -> Provenance:
    """The circumstances at this moment."""
    return Provenance(
        date=now().strftime("%Y-%m-%d %H:%M:%S UTC"),
        cpu=cpu_name(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        versions={name: version(name) for name in PACKAGES},
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    )


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, as Linux or else Python gives it."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
