"""Peak performance of the CPU: arithmetic by a matrix product, bandwidth by copying, both measured with numpy.

    python -m masklet.profiles.machine.cpu_peaks [THREADS [bf16]]

In bfloat16 the product is OpenVINO's, since numpy has none. Measured in a process of its own, so that BLAS starts with
the same number of threads as the stages had.
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
    """Peaks of a machine. gflops: FP32 operations per nanosecond; gbytes: bytes read or written per nanosecond.

    bf16_gflops: the same in bfloat16; None where it was not measured.
    """

    gflops: float
    gbytes: float
    threads: int | None
    bf16_gflops: float | None = None

    def peak(self, bf16: bool) -> float:
        """Operations per nanosecond of a stage that is computed in FP32 or in bfloat16."""
        return self.bf16_gflops if bf16 and self.bf16_gflops is not None else self.gflops


def measure(threads: int | None = None, *, bf16: bool = False) -> Machine:
    """Measure the peaks of this machine in about two seconds.

    threads: for arithmetic; None for all cores. bf16: measure it as well, which takes OpenVINO.
    """
    limit = {} if threads is None else {f"{name}_NUM_THREADS": str(threads) for name in ("OPENBLAS", "OMP", "MKL")}
    words = [str(threads or _cores()), *(["bf16"] if bf16 else [])]
    command = [sys.executable, "-m", "masklet.profiles.machine.cpu_peaks", *words]
    try:
        done = subprocess.run(command, env=os.environ | limit, capture_output=True, check=True, timeout=120)
        found = msgspec.json.decode(done.stdout, type=Machine)
        return msgspec.structs.replace(found, threads=threads)
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


def peak_bf16_gflops(threads: int, side: int = SIDE, rounds: int = ROUNDS) -> float:
    """Peak of matrix products in bfloat16, by OpenVINO, in operations per nanosecond."""
    import openvino
    from openvino import opset13

    given = opset13.parameter([side, side], np.float32)
    product = opset13.matmul(given, opset13.constant(np.ones((side, side), np.float32)), False, False)
    config = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": threads, "ENABLE_HYPER_THREADING": True}
    request = openvino.compile_model(openvino.Model([product], [given]), "CPU", config).create_infer_request()
    feed = {0: np.ones((side, side), np.float32)}
    return 2 * side**3 / _best_ns(lambda: request.infer(feed, share_inputs=True), rounds)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _best_ns(work: Callable[[], object], rounds: int) -> int:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter_ns()
        work()
        taken.append(time.perf_counter_ns() - began)
    return max(1, min(taken))


if __name__ == "__main__":
    given = int(sys.argv[1]) if len(sys.argv) > 1 else _cores()
    in_bf16 = peak_bf16_gflops(given) if "bf16" in sys.argv[2:] else None
    print(msgspec.json.encode(Machine(peak_gflops(), peak_gbytes(given), given, in_bf16)).decode())
