"""The state of the first GPU as nvidia-smi prints it."""

from dataclasses import dataclass

from masklet.runtime.machine.host import as_number

FIELDS = (
    "clocks.sm",
    "temperature.gpu",
    "power.draw",
    "utilization.gpu",
    "memory.used",
    "clocks_throttle_reasons.active",  # drivers from 535 on call it clocks_event_reasons and take both
)
ONCE = ("nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits", "--id=0")
EVERY_SECOND = (*ONCE, "--loop=1")
# NVML's API reference, nvmlClocksEventReasons; what lowers the clocks of an idle GPU, or by request, is not among them.
THROTTLES = {
    0x04: "GPU power cap",
    0x20: "GPU software thermal slowdown",
    0x40: "GPU hardware thermal slowdown",
    0x80: "GPU power brake",
}


@dataclass(frozen=True, slots=True)
class GpuState:
    """None for what the GPU does not state.

    load:         0..1.
    throttled_by: what reduces clocks now.
    """

    mhz: float | None = None
    temperature_c: float | None = None
    watts: float | None = None
    load: float | None = None
    memory_mb: float | None = None
    throttled_by: tuple[str, ...] = ()


def parse_nvidia_smi(said: str | None) -> GpuState:
    """Read a line of one of the commands above; other text gives nothing."""
    cells = [cell.strip() for cell in ((said or "").splitlines() or [""])[0].split(",")]
    if len(cells) != len(FIELDS):
        return GpuState()
    mhz, temperature_c, watts, percent, memory_mb = map(as_number, cells[:-1])
    load = None if percent is None else percent / 100
    return GpuState(mhz, temperature_c, watts, load, memory_mb, _reasons(cells[-1]))


def _reasons(mask: str) -> tuple[str, ...]:
    try:
        bits = int(mask, 16)
    except ValueError:
        return ()
    return tuple(name for bit, name in THROTTLES.items() if bits & bit)
