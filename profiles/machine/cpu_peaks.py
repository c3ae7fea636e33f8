"""What the CPU can do at best: arithmetic by a matrix product, bandwidth by copying, both measured with numpy.

    python -m masklet.profiles.machine.cpu_peaks [THREADS]

Measured in a process of its own, whose BLAS then has as many threads as the stages had and disturbs nobody's.
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

SIDE = 2048  # of the matrices: 3 x 16 MB, large enough for a BLAS to reach its peak
COPIED = 1 << 26  # bytes that a copy moves, in and out of memory each: beyond common caches
ROUNDS = 8  # the best counts: a peak is what nobody else's work took away


class Machine(msgspec.Struct, frozen=True):
    """gflops: FP32 operations a nanosecond at most; gbytes: bytes read or written a nanosecond at most."""

    gflops: float
    gbytes: float
    threads: int | None


def measure(threads: int | None = None) -> Machine:
    """Measure this machine's peaks in about two seconds. threads: of the arithmetic; all cores where None."""
    limit = {} if threads is None else {f"{name}_NUM_THREADS": str(threads) for name in ("OPENBLAS", "OMP", "MKL")}
    command = [sys.executable, "-m", "masklet.profiles.machine.cpu_peaks", *([str(threads)] if threads else [])]
    try:
        done = subprocess.run(command, env=os.environ | limit, capture_output=True, check=True, timeout=120)
        return msgspec.json.decode(done.stdout, type=Machine)
    except (OSError, subprocess.SubprocessError, msgspec.MsgspecError) as error:
        raise MaskletError(f"the machine's peaks could not be measured: {error}") from None


def peak_gflops(side: int = SIDE, rounds: int = ROUNDS) -> float:
    """FP32 matrix products of side x side numbers."""
    a, b = np.ones((side, side), np.float32), np.ones((side, side), np.float32)
    out = np.empty_like(a)
    return 2 * side**3 / _best_ns(lambda: np.matmul(a, b, out=out), rounds)


def peak_gbytes(threads: int, copied: int = COPIED, rounds: int = ROUNDS) -> float:
    """Copies by so many threads side by side; what is read and what is written counts."""
    source, target = np.ones(copied, np.uint8), np.zeros(copied, np.uint8)
    parts = list(zip(np.array_split(source, threads), np.array_split(target, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:  # numpy lets go of the interpreter while it copies
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
