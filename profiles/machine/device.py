"""Describes the device that figures were measured on; every report includes it.

Values that cannot be read are None: a missing tool or file is never an error.
"""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import msgspec
from masklet.profiles.machine import nvidia_smi
from masklet.profiles.machine.nvidia_smi import parse_nvidia_smi
from masklet.runtime.machine.board import board
from masklet.runtime.machine.host import Host, as_number
from masklet.runtime.machine.power_mode import power_mode
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
    """Properties that may change during a run; read before, during and after it.

    load_average: runnable processes over 1, 5 and 15 minutes; more than the number of cores means a busy machine.
    temperatures_c, watts: by name of the sensor.
    gpu_load:     0..1.
    ram_used_mb:  MiB of the machine, as tegrastats counts; CPU and GPU of a Jetson share them.
    throttled_by: what reduced clocks because of heat or power.
    gpu_memory_used_mb: MiB of a GPU with memory of its own.
    overcurrents: number of times that a limit of current throttled the board since it started, by limit.
    """

    load_average: tuple[float, float, float] | None
    cpu_mhz: float | None
    gpu_mhz: float | None
    temperatures_c: dict[str, float]
    watts: dict[str, float]
    gpu_load: float | None = None
    ram_used_mb: float | None = None
    throttled_by: tuple[str, ...] = ()
    gpu_memory_used_mb: float | None = None
    overcurrents: dict[str, float] = {}


def device(host: Host | None = None) -> Device:
    """Describe this machine."""
    host = host or Host()
    meminfo = _fields(host.text("proc/meminfo"), ":")
    total_kb = as_number(meminfo.get("MemTotal", "").split(" ")[0])
    return Device(
        cpu=_cpu(host),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        cpu_max_mhz=_divided(host.number("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq"), 1000),
        governor=host.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        memory_mb=_divided(total_kb, 1000),
        board=host.text("proc/device-tree/model"),
        gpus=_gpus(host),
        power_mode=_said_power_mode(host) or power_mode(host),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        libraries={name: found for name in LIBRARIES if (found := _version(name))},
    )


def conditions(host: Host | None = None) -> Conditions:
    """Read load, clocks, temperatures and power; nvidia-smi and tegrastats are run for one line each."""
    host = host or Host()
    return read_conditions(host, host.says(nvidia_smi.ONCE), host.says(["tegrastats", "--interval", "100"], lines=1))


def read_conditions(host: Host, smi_line: str | None, tegrastats_line: str | None) -> Conditions:
    """Read files of the kernel, and add what nvidia-smi and tegrastats printed; None if they are not there."""
    load = [as_number(word) for word in (host.text("proc/loadavg") or "").split()[:3]]
    one, five, fifteen = load if len(load) == 3 else (None, None, None)
    now, gpu, jetson = board(host), parse_nvidia_smi(smi_line), parse_tegrastats(tegrastats_line or "")
    bytes_used = now.memory_bytes.get("used")
    return Conditions(
        load_average=None if one is None or five is None or fifteen is None else (one, five, fifteen),
        cpu_mhz=_mhz(host),
        gpu_mhz=_first(gpu.mhz, jetson.gpu_mhz, _divided(now.clocks_hz.get("gpu"), 1e6)),
        temperatures_c={**now.temperatures_c, **_named("gpu", gpu.temperature_c), **jetson.temperatures_c},
        watts={**now.watts, **_named("gpu", gpu.watts), **jetson.watts},
        gpu_load=_first(gpu.load, jetson.gpu_load, now.gpu_load),
        ram_used_mb=_first(jetson.ram_used_mb, _divided(bytes_used, 1 << 20)),
        throttled_by=(*now.throttled_by, *gpu.throttled_by),
        gpu_memory_used_mb=gpu.memory_mb,
        overcurrents=dict(now.overcurrents),
    )


def _cpu(host: Host) -> str | None:
    info = host.text("proc/cpuinfo")
    name = _fields(info, ":").get("model name") or _fields(host.says(["lscpu"]), ":").get("Model name")
    return name or platform.processor() or None


def _mhz(host: Host) -> float | None:
    now = _divided(host.number("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"), 1000)
    return now if now is not None else as_number(_fields(host.text("proc/cpuinfo"), ":").get("cpu MHz"))


def _gpus(host: Host) -> tuple[Gpu, ...]:
    rows = (host.says(["nvidia-smi", f"--query-gpu={GPU_IS}", "--format=csv,noheader,nounits"]) or "").splitlines()
    cells = [[cell.strip() for cell in row.split(",")] for row in rows]
    return tuple(Gpu(c[0], c[1], as_number(c[2]), as_number(c[3])) for c in cells if len(c) == GPU_IS.count(",") + 1)


def _said_power_mode(host: Host) -> str | None:
    """The power mode of a Jetson: nvpmodel prints `NV Power Mode: MAXN`, then the number of the mode."""
    said = host.says(["nvpmodel", "-q"])
    return _fields(said, ":").get("NV Power Mode") if said else None


def _fields(text: str | None, separator: str) -> dict[str, str]:
    """Parse lines of `name: value`; the first value of a name counts."""
    pairs = [line.split(separator, 1) for line in (text or "").splitlines() if separator in line]
    return {name.strip(): value.strip() for name, value in reversed(pairs)}


def _named(name: str, value: float | None) -> dict[str, float]:
    return {} if value is None else {name: value}


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _divided(value: float | None, by: float) -> float | None:
    return None if value is None else value / by


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
