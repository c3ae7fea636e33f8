"""Peak performance of the CPU: arithmetic by a matrix product, bandwidth by copying, both measured with numpy.

    python -m masklet.profiles.machine.cpu_peaks [THREADS]

Measured in a process of its own, so that BLAS starts with the same number of threads as the stages had.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
from masklet.runtime.errors import MaskletError

SIDE = 2048  # edge of the matrices: 3 x 16 MB, large enough for BLAS to reach its peak
COPIED = 1 << 26  # bytes that a copy reads, and writes: larger than common caches
ROUNDS = 8  # the best round counts, so that other work on the machine matters least


class Machine(msgspec.Struct, frozen=True):
    """Peaks of a machine. gflops: FP32 operations per nanosecond; gbytes: bytes read or written per nanosecond."""

    gflops: float
    gbytes: float
    threads: int | None


def measure(threads: int | None = None) -> Machine:
    """Measure the peaks of this machine in about two seconds. threads: for arithmetic; None for all cores."""
    limit = {} if threads is None else {f"{name}_NUM_THREADS": str(threads) for name in ("OPENBLAS", "OMP", "MKL")}
    command = [sys.executable, "-m", "masklet.profiles.machine.cpu_peaks", *([str(threads)] if threads else [])]
    try:
        done = subprocess.run(command, env=os.environ | limit, capture_output=True, check=True, timeout=120)
        return msgspec.json.decode(done.stdout, type=Machine)
    except (OSError, subprocess.SubprocessError, msgspec.MsgspecError) as error:
        raise MaskletError(f"the peak performance of this machine could not be measured: {error}") from None


def peak_gflops(side: int = SIDE, rounds: int = ROUNDS) -> float:
    """Peak of FP32 matrix products of size side x side, in operations per nanosecond."""
    a, b = np.ones((side, side), np.float32), np.ones((side, side), np.float32)
    out = np.empty_like(a)
    return 2 * side**3 / _best_ns(lambda: np.matmul(a, b, out=out), rounds)


def peak_gbytes(threads: int, copied: int = COPIED, rounds: int = ROUNDS) -> float:
    """Peak bandwidth of copies in parallel threads, in bytes per nanosecond; reads and writes both count."""
    source, target = np.ones(copied, np.uint8), np.zeros(copied, np.uint8)
    parts = list(zip(np.array_split(source, threads), np.array_split(target, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:  # numpy releases the interpreter lock while it copies
        return 2 * copied / _best_ns(lambda: list(pool.map(lambda part: np.copyto(part[1], part[0]), parts)), rounds)


def _best_ns(work: Callable[[], object], rounds: int) -> int:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter_ns()
        work()
        taken.append(time.perf_counter_ns() - began)
    return max(1, min(taken))


if __name__ == "__main__":
    given = int(sys.argv[1]) if len(sys.argv) > 1 else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    print(msgspec.json.encode(Machine(peak_gflops(), peak_gbytes(given or cores), given)).decode())
