"""The machine over a run as charts: one for each kind of figure, with the time of throttling shaded."""

from collections.abc import Sequence

from masklet.profiles.machine.sampler import Sample
from masklet.profiles.report.charts import STAGE_COLOURS
from masklet.profiles.report.over_time import Curve, curves, throttling
from masklet.profiles.report.svg import Axis, Chart, spread

HEIGHT = 150  # pixels
SHADE = "#c8425c33"


def machine_charts(samples: Sequence[Sample]) -> str | None:
    """Clocks, use, memory, temperature and power over seconds of the run; None if there is nothing to draw."""
    if len(samples) < 2:
        return None
    by_kind: dict[str, list[Curve]] = {}
    for one in curves(samples):
        by_kind.setdefault(f"{one.what}, {one.unit}", []).append(one)
    return "".join(_chart(name, lines, samples) for name, lines in by_kind.items()) or None


def _chart(name: str, lines: Sequence[Curve], samples: Sequence[Sample]) -> str:
    values = [value for one in lines for value in one.values]
    chart = Chart(
        Axis(0, samples[-1].time_s, "seconds of the run"), Axis(*spread(values, 0.1), name), 1100, HEIGHT, right=130
    )
    slowed = throttling(samples)
    for begin, end in slowed.spans if slowed else ():
        chart.box(begin, min(end, chart.x.high), chart.y.low, chart.y.high, SHADE, str(slowed))
    for one, colour in zip(lines, STAGE_COLOURS, strict=False):
        chart.line(one.points, colour)
    chart.labels([(*one.points[-1], one.of) for one in lines])
    return str(chart)
