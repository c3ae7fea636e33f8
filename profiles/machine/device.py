"""Describes the device that figures were measured on; every report includes it.

Values that cannot be read are None: a missing tool or file is never an error.
"""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import msgspec
from masklet.runtime.machine.board import temperatures, throttled_by
from masklet.runtime.machine.host import Host, as_number
from masklet.runtime.machine.tegrastats import parse_tegrastats

LIBRARIES = (
    "masklet",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "opencv-python-headless",
    "opencv-python",
    "tensorrt",
    "tensorrt-rtx",
)
GPU_IS = "name,driver_version,memory.total,power.limit"
GPU_NOW = "clocks.sm,clocks.mem,temperature.gpu,power.draw"


class Gpu(msgspec.Struct, frozen=True):
    """A GPU, with the name that its driver gives."""

    name: str
    driver: str | None = None
    memory_mb: float | None = None
    power_limit_w: float | None = None


class Device(msgspec.Struct, frozen=True):
    """Properties that do not change during a run.

    cores:      number of cores that this process may use.
    power_mode: nvpmodel of a Jetson, and whether its clocks are locked.
    """

    cpu: str | None
    cores: int
    cpu_max_mhz: float | None
    governor: str | None
    memory_mb: float | None
    board: str | None
    gpus: tuple[Gpu, ...]
    power_mode: str | None
    system: str
    python: str
    libraries: dict[str, str]


class Conditions(msgspec.Struct, frozen=True):
    """Properties that may change during a run; read before and after it.

    load_average: runnable processes over 1, 5 and 15 minutes; more than the number of cores means a busy machine.
    temperatures_c, watts: by name of the sensor.
    gpu_load:     0..1. ram_used_mb: of the board, which CPU and GPU of a Jetson share.
    throttled_by: what reduced clocks because of heat.
    """

    load_average: tuple[float, float, float] | None
    cpu_mhz: float | None
    gpu_mhz: float | None
    temperatures_c: dict[str, float]
    watts: dict[str, float]
    gpu_load: float | None = None
    ram_used_mb: float | None = None
    throttled_by: tuple[str, ...] = ()


def device(host: Host | None = None) -> Device:
    """Describe this machine."""
    host = host or Host()
    meminfo = _fields(host.text("proc/meminfo"), ":")
    total_kb = as_number(meminfo.get("MemTotal", "").split(" ")[0])
    return Device(
        cpu=_cpu(host),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        cpu_max_mhz=_thousandth(host.number("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")),
        governor=host.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        memory_mb=_thousandth(total_kb),
        board=host.text("proc/device-tree/model"),
        gpus=_gpus(host),
        power_mode=_power_mode(host),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        libraries={name: found for name in LIBRARIES if (found := _version(name))},
    )


def conditions(host: Host | None = None) -> Conditions:
    """Read load, clocks, temperatures and power."""
    host = host or Host()
    load = [as_number(word) for word in (host.text("proc/loadavg") or "").split()[:3]]
    one, five, fifteen = load if len(load) == 3 else (None, None, None)
    gpu = _gpu_now(host)
    jetson = parse_tegrastats(host.says(["tegrastats", "--interval", "100"], lines=1) or "")
    return Conditions(
        load_average=None if one is None or five is None or fifteen is None else (one, five, fifteen),
        cpu_mhz=_mhz(host),
        gpu_mhz=gpu.get("clocks.sm", jetson.gpu_mhz),
        temperatures_c={**temperatures(host), **_named(gpu, "temperature.gpu", "gpu"), **jetson.temperatures_c},
        watts={**_named(gpu, "power.draw", "gpu"), **jetson.watts},
        gpu_load=jetson.gpu_load,
        ram_used_mb=jetson.ram_used_mb,
        throttled_by=throttled_by(host),
    )


def _cpu(host: Host) -> str | None:
    info = host.text("proc/cpuinfo")
    name = _fields(info, ":").get("model name") or _fields(host.says(["lscpu"]), ":").get("Model name")
    return name or platform.processor() or None


def _mhz(host: Host) -> float | None:
    now = _thousandth(host.number("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"))
    return now if now is not None else as_number(_fields(host.text("proc/cpuinfo"), ":").get("cpu MHz"))


def _gpus(host: Host) -> tuple[Gpu, ...]:
    rows = (host.says(["nvidia-smi", f"--query-gpu={GPU_IS}", "--format=csv,noheader,nounits"]) or "").splitlines()
    cells = [[cell.strip() for cell in row.split(",")] for row in rows]
    return tuple(Gpu(c[0], c[1], as_number(c[2]), as_number(c[3])) for c in cells if len(c) == GPU_IS.count(",") + 1)


def _gpu_now(host: Host) -> dict[str, float]:
    """The state of the first GPU."""
    said = host.says(["nvidia-smi", f"--query-gpu={GPU_NOW}", "--format=csv,noheader,nounits"]) or ""
    cells = (said.splitlines() or [""])[0].split(",")
    pairs = zip(GPU_NOW.split(","), map(as_number, cells), strict=False)
    return {name: number for name, number in pairs if number is not None}


def _power_mode(host: Host) -> str | None:
    """The power mode of a Jetson: nvpmodel prints `NV Power Mode: MAXN`, then the number of the mode."""
    said = host.says(["nvpmodel", "-q"])
    return _fields(said, ":").get("NV Power Mode") if said else None


def _fields(text: str | None, separator: str) -> dict[str, str]:
    """Parse lines of `name: value`; the first value of a name counts."""
    pairs = [line.split(separator, 1) for line in (text or "").splitlines() if separator in line]
    return {name.strip(): value.strip() for name, value in reversed(pairs)}


def _named(values: dict[str, float], key: str, name: str) -> dict[str, float]:
    return {name: values[key]} if key in values else {}


def _thousandth(value: float | None) -> float | None:
    return None if value is None else value / 1000


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
