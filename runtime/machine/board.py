"""Temperatures, clocks, power, load and throttling of this machine now, from its kernel: no process, no root."""

from collections.abc import Mapping
from dataclasses import dataclass

from masklet.runtime.machine.host import Host
from masklet.runtime.machine.power_mode import power_mode

_COOLS_WITHOUT_SLOWING = ("fan", "tsens")  # cooling devices that do not reduce clocks


@dataclass(frozen=True, slots=True)
class Board:
    """The state of a board; empty or None for what it does not state.

    temperatures_c: by thermal zone. watts: by rail of its power monitors (INA3221 on a Jetson).
    clocks_hz:      "cpu0", "cpu1", ..., "gpu".
    gpu_load:       0..1.
    memory_bytes:   "used" and "total"; on a Jetson CPU and GPU share it.
    throttled_by:   cooling devices that reduce clocks now.
    overcurrents:   number of times that a limit of current throttled the board since it started, by limit.
    """

    temperatures_c: Mapping[str, float]
    watts: Mapping[str, float]
    clocks_hz: Mapping[str, float]
    gpu_load: float | None
    memory_bytes: Mapping[str, float]
    throttled_by: tuple[str, ...]
    overcurrents: Mapping[str, float]
    power_mode: str | None


def board(host: Host | None = None) -> Board:
    """Read sysfs, /proc, and the files of nvpmodel."""
    host = host or Host()
    return Board(
        temperatures_c=_temperatures(host),
        watts=_watts(host),
        clocks_hz=_clocks(host),
        gpu_load=_gpu_load(host),
        memory_bytes=_memory(host),
        throttled_by=_throttled_by(host),
        overcurrents=_over(host),
        power_mode=power_mode(host),
    )


def _temperatures(host: Host) -> dict[str, float]:
    """Degrees Celsius by thermal zone; zones that are switched off are left out."""
    found = {}
    for zone in host.glob("sys/class/thermal/thermal_zone*"):
        millidegrees = host.number(f"{zone}/temp")
        if millidegrees is not None and millidegrees > -256_000:
            found[host.text(f"{zone}/type") or zone.rsplit("/", 1)[1]] = millidegrees / 1000
    return found


def _throttled_by(host: Host) -> tuple[str, ...]:
    """The cooling devices that reduce clocks now, by type."""
    found = set()
    for device in host.glob("sys/class/thermal/cooling_device*"):
        kind = host.text(f"{device}/type") or ""
        if (host.number(f"{device}/cur_state") or 0) > 0 and not any(
            word in kind.lower() for word in _COOLS_WITHOUT_SLOWING
        ):
            found.add(kind)
    return tuple(sorted(found))


def _watts(host: Host) -> dict[str, float]:
    """Rails of power monitors: millivolts times milliamperes (Linux, hwmon/sysfs-interface)."""
    found = {}
    for label in host.glob("sys/class/hwmon/hwmon*/in*_label"):
        name, here = host.text(label), label.removesuffix("_label")
        folder, _, channel = here.rpartition("/in")
        millivolts, milliamperes = host.number(f"{here}_input"), host.number(f"{folder}/curr{channel}_input")
        if name and millivolts is not None and milliamperes is not None:
            found[name] = millivolts * milliamperes / 1e6
    return found


def _clocks(host: Host) -> dict[str, float]:
    found = {}
    for frequency in host.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq"):
        kilohertz = host.number(frequency)
        if kilohertz is not None:
            found[frequency.split("/")[4]] = kilohertz * 1000
    for frequency in _gpus(host, "cur_freq"):
        hertz = host.number(frequency)
        if hertz is not None:
            found.setdefault("gpu", hertz)
    return found


def _gpus(host: Host, name: str) -> list[str]:
    """Files of the GPU's clock: 17000000.gpu on Orin, 17000000.gv11b on Xavier, gpu-gpc-0 on Thor."""
    return [
        path for kind in ("gpu", "gv11b", "gp10b", "gpc-0") for path in host.glob(f"sys/class/devfreq/*{kind}/{name}")
    ]


def _gpu_load(host: Host) -> float | None:
    """Thousandths (NVIDIA's nvgpu driver)."""
    paths = [*_gpus(host, "device/load"), *host.glob("sys/devices/platform/gpu.0/load")]
    return next((load / 1000 for path in paths if (load := host.number(path)) is not None), None)


def _memory(host: Host) -> dict[str, float]:
    lines = (line.split() for line in (host.text("proc/meminfo") or "").splitlines())
    kilobytes = {words[0].rstrip(":"): float(words[1]) for words in lines if len(words) > 1 and words[1].isdecimal()}
    total, available = kilobytes.get("MemTotal"), kilobytes.get("MemAvailable")
    if total is None or available is None:
        return {}
    return {"used": (total - available) * 1024, "total": total * 1024}


def _over(host: Host) -> dict[str, float]:
    """Orin's counters of over-current events, oc1_event_cnt to oc3_event_cnt."""
    files = host.glob("sys/class/hwmon/hwmon*/oc*_event_cnt")
    counts = {path.rsplit("/", 1)[1].partition("_")[0]: host.number(path) for path in files}
    return {name: count for name, count in counts.items() if count is not None}
