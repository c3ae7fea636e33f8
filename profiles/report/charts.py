"""The charts of a report."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from masklet.profiles.model.roofline import Roofline
from masklet.profiles.recording.phases import PHASES
from masklet.profiles.recording.statistics import median
from masklet.profiles.report.report import Report, ShownFrame
from masklet.profiles.report.svg import Axis, Chart, spread

MOST_BARS = 240  # maximum number of bars; more frames share bars
BINS = 32
ROW = 20  # height of a row of the timeline in pixels
STAGE_COLOURS = ("#3b76d6", "#e0672f", "#3a9d5d", "#a45bc4", "#d1a11f", "#c8425c", "#2aa3a3", "#7d6b5d")
PHASE_COLOURS = dict(zip(PHASES, ("#8fa3b5", "#6f8496", "#b0a08a", "#97a97c", "#c3b6c9"), strict=True))
Curves = Mapping[str, Sequence[tuple[float, float]]]


def colours(report: Report) -> dict[str, str]:
    """A colour for each part: strong colours for stages, muted ones for host phases."""
    stages = {name: STAGE_COLOURS[n % len(STAGE_COLOURS)] for n, name in enumerate(report.stages)}
    return {name: stages.get(name) or PHASE_COLOURS[name] for name in report.parts}


def stack(report: Report) -> str:
    """Stacked milliseconds of the parts of each frame."""
    series, colour = report.series, colours(report)
    edges = np.linspace(0, report.frames, min(report.frames, MOST_BARS) + 1).round().astype(int).tolist()
    sums = [sum(ms[n] for ms in series.parts_ms.values()) for n in range(report.frames)]
    chart = Chart(
        Axis(0, report.frames, "measured frame", whole=True), Axis(0, max(sums) * 1.05 or 1.0, "ms"), 1100, 280
    )
    for first, end in itertools.pairwise(edges):
        bottom = 0.0
        for name, ms in series.parts_ms.items():
            mean = float(np.mean(ms[first:end]))
            label = f"frame {series.index[first]}: {name} {mean:.2f} ms"
            chart.box(first, end - 0.12 * (end - first), bottom, bottom + mean, colour[name], label)
            bottom += mean
    return str(chart)


def histogram(report: Report) -> str:
    """Histogram of capture-to-masks time over frames."""
    ms = np.array(report.series.frame_ms)
    counts, edges = np.histogram(ms, bins=BINS, range=spread(ms.tolist()))
    chart = Chart(
        Axis(float(edges[0]), float(edges[-1]), "capture to masks, ms"),
        Axis(0, float(counts.max()) * 1.2, "frames", whole=True),
    )
    for count, left, right in zip(counts.tolist(), edges.tolist(), edges[1:].tolist(), strict=False):
        chart.box(left, right, 0, count, "var(--accent)", f"{count} frames from {left:.1f} to {right:.1f} ms")
    marks = {"p50": report.frame.p50_ms, "p95": report.frame.p95_ms, "p99": report.frame.p99_ms}
    for row, (name, value) in enumerate(marks.items()):
        chart.line([(value, 0), (value, chart.y.high)], "var(--text)", "mark")
        beside, dx = ("note", 4) if chart.x.part(value) < 0.7 else ("note end", -4)
        chart.text(value, chart.y.high, f"{name} {value:.1f}", beside, dx=dx, dy=10 + 12 * row)
    return str(chart)


def timeline(report: Report, frame: ShownFrame) -> str:
    """One frame, with one row per part, from the request for it to its sinks."""
    names, colour = list(report.parts), colours(report)
    height = ROW * len(names) + 52
    end_ms = max(end for _, _, end in frame.spans) or 1.0
    chart = Chart(Axis(0, end_ms, "ms"), Axis(0, len(names), "part"), height=height, left=128, y_labels=False)
    for row, name in enumerate(reversed(names)):
        chart.text(0, row, name, "label", dx=-8, dy=-ROW * 0.3)
        for part, began, ended in frame.spans:
            if part == name:
                title = f"{name} {ended - began:.2f} ms, from {began:.2f}"
                chart.box(began, ended, row + 0.12, row + 0.88, colour[name], title)
    return str(chart)


def cost_by_objects(report: Report) -> str | None:
    """Milliseconds per frame over the number of objects, one line per number of memory frames; None for one size."""
    return _cost(_curves(report, "objects"), "objects", "memory frames")


def cost_by_memories(report: Report) -> str | None:
    """Milliseconds per frame over the number of memory frames, one line per number of objects; None for one size."""
    return _cost(_curves(report, "memories"), "memory frames", "objects")


def roof(roofline: Roofline, colour: Mapping[str, str]) -> str:
    """Achieved arithmetic over arithmetic intensity, below the roofline of the machine."""
    machine = roofline.machine
    roofs = {peak: name for peak, name in ((machine.gflops, ""), (machine.bf16_gflops, " in bf16")) if peak}
    intensities = [stage.intensity for stage in roofline.stages.values() if stage.intensity]
    intensities += [peak / machine.gbytes for peak in roofs]
    reached = [stage.gflops for stage in roofline.stages.values() if stage.gflops] + [*roofs]
    x = Axis(min(intensities) / 4, max(intensities) * 6, "FLOP per byte", log=True)
    chart = Chart(x, Axis(min(reached) / 4, max(reached) * 3, "GFLOP/s", log=True), height=300)
    slope_from = max(x.low, chart.y.low / machine.gbytes)
    for peak, name in roofs.items():
        slope = [(slope_from, slope_from * machine.gbytes), (peak / machine.gbytes, peak), (x.high, peak)]
        chart.line(slope, "var(--text)", "roof")
        chart.text(x.high, peak, f"{peak:.0f} GFLOP/s{name}", "note end", dx=-2, dy=-6)
    names = []
    for name, stage in roofline.stages.items():
        if stage.intensity and stage.gflops and stage.share is not None:
            chart.dot(stage.intensity, stage.gflops, colour[name], f"{name}: {stage.reached} of its limit")
            names.append((stage.intensity, stage.gflops, f"{name} {stage.reached}"))
    chart.labels(names, "note end", dx=-8)
    return str(chart)


def _curves(report: Report, axis: str) -> dict[int, list[tuple[float, float]]]:
    """Median ms by the size along one axis, by the size along the other: from the sweep, otherwise from the run."""
    other = "memories" if axis == "objects" else "objects"
    lines: dict[int, dict[int, list[float]]] = {}
    if report.growth:
        for point in report.growth.points:
            lines.setdefault(getattr(point, other), {})[getattr(point, axis)] = [point.frame_ms]
    else:
        series = report.series
        sizes = zip(getattr(series, other), getattr(series, axis), series.frame_ms, strict=True)
        for line, at, ms in sizes:
            lines.setdefault(line, {}).setdefault(at, []).append(ms)
    return {line: [(at, median(ms)) for at, ms in sorted(points.items())] for line, points in sorted(lines.items())}


def _cost(curves: Mapping[int, Sequence[tuple[float, float]]], axis: str, line: str) -> str | None:
    places = sorted({at for points in curves.values() for at, _ in points})
    if len(places) < 2:
        return None
    highest = max(ms for points in curves.values() for _, ms in points)
    chart = Chart(Axis(0, places[-1] * 1.3, axis, whole=True), Axis(0, highest * 1.1, "ms per frame"))
    for n, (size, points) in enumerate(curves.items()):
        colour = STAGE_COLOURS[n % len(STAGE_COLOURS)]
        chart.line(points, colour)
        for at, ms in points:
            chart.dot(at, ms, colour, f"{at} {axis}, {size} {line}: {ms:.1f} ms")
    chart.labels([(*points[-1], f"{size} {line if size != 1 else line[:-1]}") for size, points in curves.items()])
    return str(chart)
