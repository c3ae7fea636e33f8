"""The machine over a run, in figures: what the terminal, the page and the comparison say of its samples."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from masklet.profiles.machine.sampler import Sample
from masklet.profiles.recording.statistics import median
from masklet.profiles.report.report import Report


@dataclass(frozen=True, slots=True)
class Curve:
    """A figure over the run. of: the sensor, the rail or the unit. points: seconds since the run began, and value."""

    what: str
    of: str
    unit: str
    points: Sequence[tuple[float, float]]

    @property
    def values(self) -> list[float]:
        return [value for _, value in self.points]

    @property
    def middle(self) -> float:
        return median(self.values)

    def __str__(self) -> str:
        low, high = min(self.values), max(self.values)
        between = "" if f"{low:.3g}" == f"{high:.3g}" else f" ({short(low)} to {short(high)})"
        return f"{self.of} {short(self.middle)} {self.unit}{between}"


@dataclass(frozen=True, slots=True)
class Throttling:
    """When clocks were reduced because of heat or power.

    began_s: of the first sample that says so. spans: from that of each such sample to that of the next, in seconds.
    """

    began_s: float
    spans: Sequence[tuple[float, float]]
    by: tuple[str, ...]

    @property
    def seconds(self) -> float:
        return sum(end - begin for begin, end in self.spans)

    def __str__(self) -> str:
        return f"throttled {self.seconds:.0f} s by {', '.join(self.by)}"


def curves(samples: Sequence[Sample]) -> list[Curve]:
    """Clocks, use, the hottest sensor, and the rail with the most power; without those that the machine hides."""
    hottest = _peak([one.temperatures_c for one in samples])
    strongest = _peak([one.watts for one in samples])
    found = (
        Curve("clock", "CPU", "MHz", _points(samples, [one.cpu_mhz for one in samples])),
        Curve("clock", "GPU", "MHz", _points(samples, [one.gpu_mhz for one in samples])),
        Curve("use", "GPU", "%", _points(samples, [one.gpu_load and 100 * one.gpu_load for one in samples])),
        Curve("memory", "RAM", "MiB", _points(samples, [one.ram_used_mb for one in samples])),
        Curve("memory", "GPU memory", "MiB", _points(samples, [one.gpu_memory_used_mb for one in samples])),
        Curve("temperature", hottest, "°C", _points(samples, [one.temperatures_c.get(hottest) for one in samples])),
        Curve("power", strongest, "W", _points(samples, [one.watts.get(strongest) for one in samples])),
    )
    return [one for one in found if one.points]


def throttling(samples: Sequence[Sample]) -> Throttling | None:
    """When the samples say that clocks were reduced; None if none does."""
    slowed = [one for one in samples if one.throttled_by]
    if not slowed:
        return None
    times = [*(one.time_s for one in samples), 2 * samples[-1].time_s - samples[-2:][0].time_s]
    spans = [span for span, one in zip(pairwise(times), samples, strict=True) if one.throttled_by]
    return Throttling(slowed[0].time_s, spans, tuple(sorted({name for one in slowed for name in one.throttled_by})))


def over_time(samples: Sequence[Sample]) -> str | None:
    """The run in one line: medians, with lowest and highest value; None without samples."""
    parts = [*map(str, curves(samples)), *map(str, filter(None, [throttling(samples)]))]
    return f"over the run: {', '.join(parts)}" if parts else None


def slowdowns(report: Report) -> Iterable[str]:
    """Throttling that makes figures of the report doubtful, one line each."""
    found = throttling(report.device.during)
    if found is not None:
        timed = list(zip(report.series.times_s, report.series.frame_ms, strict=False))
        before = [ms for time_s, ms in timed if time_s < found.began_s]
        since = [ms for time_s, ms in timed if time_s >= found.began_s]
        when = f"{found.began_s:.0f} s into the run" if before else "before the first measured frame"
        cost = f": {median(before):.1f} ms per frame before it, {median(since):.1f} since" if before and since else ""
        yield f"throttling began {when}, by {', '.join(found.by)}{cost}"
    early, late = report.device.before.overcurrents, report.device.after.overcurrents
    for limit, count in late.items():
        times = count - early.get(limit, 0)
        if times > 0:
            yield f"the board reduced clocks {times:.0f} times during the run because of too much current ({limit})"


def short(value: float) -> str:
    """A figure in as few digits as say something."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _peak(readings: Sequence[dict[str, float]]) -> str:
    """The name with the highest value in any of the readings; "" if there is none."""
    highest = [(value, name) for reading in readings for name, value in reading.items()]
    return max(highest)[1] if highest else ""


def _points(samples: Sequence[Sample], values: Sequence[float | None]) -> list[tuple[float, float]]:
    return [(one.time_s, value) for one, value in zip(samples, values, strict=True) if value is not None]
