"""A profile report in the terminal: a tree with bars, the roofline, growth, and the device."""

from collections.abc import Iterable, Sequence

from masklet.profiles.model.growth import Growth
from masklet.profiles.model.roofline import Roofline
from masklet.profiles.recording.operators import StageOperators
from masklet.profiles.recording.phases import SINK
from masklet.profiles.recording.statistics import Latency
from masklet.profiles.recording.timeline import Recorder
from masklet.profiles.report.compare import Comparison
from masklet.profiles.report.over_time import over_time, short
from masklet.profiles.report.report import Part, Report, measurements
from masklet.profiles.report.verdict import doubts, verdict
from rich.console import Console
from rich.table import Table

SLOWEST_NODES = 10
LEAST_SHARE = 0.005  # of a stage, for an operator to be listed
BAR = 20  # characters of the bar of a whole frame
EIGHTHS = " ▏▎▍▌▋▊▉█"
PERCENTILES = ("p50", "p90", "p95", "p99", "max")


def show(report: Report, console: Console) -> None:
    """Print a report."""
    for line in doubts(report):
        console.print(f"[yellow]{line}[/yellow]", soft_wrap=True, highlight=False)
    for line in headline(report):
        console.print(line, soft_wrap=True, highlight=False)
    for line in verdict(report):
        console.print(line, soft_wrap=True, highlight=False)
    console.print(frame_tree(report.frame, report.parts))
    if report.roofline:
        console.print(roofline_table(report.roofline))
        for line in _uncounted(report.roofline):
            console.print(line, soft_wrap=True)
    if report.growth:
        console.print(growth_table(report.growth))
    if report.operators:
        console.print(operators_table(report.operators))
    for line in device_lines(report):
        console.print(line, soft_wrap=True, highlight=False)


def stage_tree(recorder: Recorder, stages: Sequence[str], warmup: int = 0) -> Table:
    """The tree of the frames of a recorder, for users who run the pipeline themselves.

    stages: names in the order of the model.
    warmup: number of frames to leave out at the start.
    """
    measured = measurements(recorder.frames_recorded[warmup:], stages)
    return frame_tree(measured.frame, {**measured.phases, **measured.stages}, measured.series.parts_ms)


def headline(report: Report) -> Iterable[str]:
    """The bundle, the source, and the headline latency."""
    bundle, series = report.bundle, report.series
    yield f"[bold]{bundle.family} {bundle.variant}[/bold], {bundle.side} px, {bundle.backend}, {_precision(report)}"
    yield (
        f"{report.source.name}, {report.source.width}x{report.source.height}: {report.frames} frames measured after "
        f"{report.warmup} of warm-up, {_range(series.objects, 'object')}, {_range(series.memories, 'memory frame')}"
    )
    frame = report.frame
    yield (
        f"capture to masks [bold]{frame.p50_ms:.1f} ms[/bold] in the median, p99 {frame.p99_ms:.1f}; "
        f"[bold]{frame.fps:.2f} frames/s[/bold] with the sinks; host {report.host.p50_ms:.1f} ms; "
        f"{report.memory.rss_peak_mb:.0f} MB at most"
    )


def frame_tree(frame: Latency, parts: dict[str, Part], order: Iterable[str] | None = None) -> Table:
    """One row per phase and stage, in the order of `order` or `parts`: milliseconds per call, share of all frames."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("share", justify="right")
    table.add_column("", width=BAR)
    for name in (*PERCENTILES, "calls", "per object"):
        table.add_column(f"{name} ms" if name in PERCENTILES[:1] else name, justify="right")
    table.add_row("[bold]capture to masks[/bold]", "", "", *_percentiles(frame), str(frame.calls), "")
    names = list(order or parts)
    for name in names:
        part = parts[name]
        branch = "└─" if name in names[-1:] or name == SINK else "├─"
        each = f"{part.per_object_ms:.2f}" if part.per_object_ms is not None else ""
        share = f"{part.share:.1%}"
        table.add_row(f"{branch} {name}", share, bar(part.share), *_percentiles(part), str(part.calls), each)
    return table


def bar(share: float, width: int = BAR) -> str:
    """A bar of length `share` of its width, to an eighth of a character."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    return EIGHTHS[8] * (eighths // 8) + (EIGHTHS[eighths % 8] if eighths % 8 else "")


def roofline_table(roofline: Roofline) -> Table:
    """Every stage compared with the peaks of the machine."""
    machine = roofline.machine
    threads = "all cores" if machine.threads is None else f"{machine.threads} threads"
    low = "" if machine.bf16_gflops is None else f" ({machine.bf16_gflops:.0f} in bf16, with OpenVINO)"
    title = (
        f"Roofline: {machine.gflops:.0f} GFLOP/s{low}, {machine.gbytes:.1f} GB/s measured here with numpy, {threads}"
    )
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("stage", "at"):
        table.add_column(name)
    for name in ("calls", "GFLOP", "MB", "p50 ms", "limit ms", "GFLOP/s", "of the limit"):
        table.add_column(name, justify="right")
    table.add_column("bound by")
    for name, stage in roofline.stages.items():
        at = " ".join(f"{symbol}={size}" for symbol, size in stage.sizes.items())
        figures = (stage.gflop, stage.mbytes, stage.p50_ms, stage.limit_ms, stage.gflops)
        cells = (f"{value:.2f}" for value in figures)
        table.add_row(name, at, str(stage.calls), *cells, stage.reached, stage.bound)
    return table


def growth_table(growth: Growth) -> Table:
    """One row per size."""
    lines = [
        f"{value:+.1f} ms {what}"
        for value, what in ((growth.per_object_ms, "per object"), (growth.per_memory_ms, "per memory frame"))
        if value is not None
    ]
    table = Table(title=f"Growth: {', '.join(lines) or 'one size'}", title_justify="left", box=None, pad_edge=False)
    stages = list(growth.points[0].stages_ms)
    for name in ("objects", "memory frames", "frames", "frame ms", "spread", "host ms", *stages):
        table.add_column(name, justify="right")
    for p in growth.points:
        times = (p.host_ms, *(p.stages_ms.get(name, 0.0) for name in stages))
        spread = "" if p.spread_ms is None else f"{p.spread_ms:.2f}"
        sizes = (str(p.objects), str(p.memories), str(p.frames), f"{p.frame_ms:.2f}", spread)
        table.add_row(*sizes, *(f"{ms:.2f}" for ms in times))
    return table


def operators_table(found: StageOperators) -> Table:
    """One row per operator of a stage that takes LEAST_SHARE of it, then the SLOWEST_NODES."""
    at = " ".join(f"{symbol}={size}" for symbol, size in found.sizes.items())
    title = f"Operators of {found.stage}{f' at {at}' if at else ''}: medians of {found.runs} runs"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("operator")
    for name in ("nodes", "ms", "share"):
        table.add_column(name, justify="right")
    table.add_column("", width=BAR)
    for one in found.operators:
        if one.share >= LEAST_SHARE:
            table.add_row(one.name, str(one.nodes), f"{one.ms:.3f}", f"{one.share:.1%}", bar(one.share))
    table.add_row("slowest nodes:", style="dim")
    for node in found.nodes[:SLOWEST_NODES]:
        table.add_row(node.label, "", f"{node.ms:.3f}", f"{node.share:.1%}", bar(node.share))
    return table


def comparison_table(comparison: Comparison) -> Table:
    """One row per part: medians per frame in both runs, the change, and the verdict."""
    table = Table(box=None, pad_edge=False)
    for name in ("", "A ms", "B ms", "change"):
        table.add_column(name, justify="right" if name else "left")
    table.add_column("verdict")
    for change in comparison.changes:
        mark = ("[red]" if change.change > 0 else "[green]") if change.stands_out else "[dim]"
        ratio = f"{mark}{change.change:+.1%}[/]"
        table.add_row(change.name, f"{change.a_ms:.2f}", f"{change.b_ms:.2f}", ratio, change.verdict)
    return table


CONDITIONS = (
    "load_average",
    "cpu_mhz",
    "gpu_mhz",
    "temperatures_c",
    "watts",
    "gpu_load",
    "ram_used_mb",
    "throttled_by",
    "gpu_memory_used_mb",
    "overcurrents",
)


def device_lines(report: Report) -> Iterable[str]:
    """The device that it was measured on."""
    device = report.device
    mhz = f", up to {device.cpu_max_mhz:.0f} MHz" if device.cpu_max_mhz else ""
    yield f"{device.board or device.cpu or 'unknown CPU'}, {device.cores} cores{mhz}, {device.system}"
    for gpu in device.gpus:
        yield f"{gpu.name}, driver {gpu.driver}"
    if device.power_mode:
        yield f"power mode {device.power_mode}"
    yield ", ".join(f"{name} {version}" for name, version in device.libraries.items())
    for name in CONDITIONS:
        before, after = getattr(device.before, name), getattr(device.after, name)
        if before or after:
            yield f"{name.replace('_', ' ')} before {_words(before)}, after {_words(after)}"
    line = over_time(device.during)
    if line is not None:
        yield line


def _uncounted(roofline: Roofline) -> Iterable[str]:
    for name, stage in roofline.stages.items():
        if stage.uncounted:
            yield f"[yellow]{name}: {len(stage.uncounted)} operators not counted[/yellow], {stage.uncounted[0]} first"


def _precision(report: Report) -> str:
    kinds = sorted(set(report.bundle.precision.values()))
    return kinds[0] if len(kinds) == 1 else ", ".join(f"{n} {p}" for n, p in report.bundle.precision.items())


def _percentiles(latency: Latency) -> list[str]:
    values = (latency.p50_ms, latency.p90_ms, latency.p95_ms, latency.p99_ms, latency.max_ms)
    return [f"{value:.2f}" for value in values]


def _range(values: Sequence[int], thing: str) -> str:
    low, high = min(values), max(values)
    many = thing if high == 1 else f"{thing}s"
    return f"{low} {many}" if low == high else f"{low} to {high} {many}"


def _words(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name} {short(number)}" for name, number in value.items()) or "unknown"
    if isinstance(value, tuple):
        return " ".join(one if isinstance(one, str) else f"{one:.2f}" for one in value) or "nothing"
    return short(value) if isinstance(value, float) else "unknown"
