"""A profile report as one self-contained HTML page: no script, no font, no network."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import msgspec
from masklet.profiles.recording.operators import StageOperators
from masklet.profiles.report import charts
from masklet.profiles.report.machine_charts import machine_charts
from masklet.profiles.report.report import Report
from masklet.profiles.report.terminal import PERCENTILES, SLOWEST_NODES, device_lines, headline
from masklet.profiles.report.verdict import doubts, verdict
from rich.text import Text

STYLE = """
:root { --paper: #fbfbf9; --card: #fff; --text: #20252b; --soft: #66707a; --rule: #e3e5e4; --accent: #3b76d6 }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171a; --card: #1c2024; --text: #e4e7ea; --soft: #98a2ac; --rule: #31373d; --accent: #6d9df0 }
}
* { box-sizing: border-box }
body { margin: 0 auto; padding: 28px 20px 60px; max-width: 1180px; background: var(--paper); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif }
h1 { margin: 0 0 2px; font-size: 24px } h2 { margin: 0 0 8px; font-size: 16px }
p { margin: 0 0 4px; color: var(--soft) }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 12px; margin: 18px 0 }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); gap: 12px }
.card { padding: 14px 16px; background: var(--card); border: 1px solid var(--rule); border-radius: 8px }
.wide { grid-column: 1 / -1 }
.tile b { display: block; font-size: 22px; font-variant-numeric: tabular-nums }
.tile span { color: var(--soft); font-size: 13px }
svg { width: 100%; height: auto; display: block }
svg text { font: 11px system-ui, sans-serif; fill: var(--text) }
svg .tick, svg .name { fill: var(--soft) } svg .mid { text-anchor: middle }
svg .end, svg .label { text-anchor: end }
svg .grid { stroke: var(--rule) } svg .axis { stroke: var(--soft) }
svg polyline { fill: none; stroke-width: 2 } svg .mark { stroke-width: 1; stroke-dasharray: 4 3 }
svg .roof { stroke-width: 1.5 }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 8px 0 0; font-size: 13px; color: var(--soft) }
.legend i { display: inline-block; width: 10px; height: 10px; margin-right: 6px; border-radius: 2px }
.scroll { overflow-x: auto }
table { width: 100%; border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th { font-weight: 500; color: var(--soft) } th, td { padding: 4px 8px; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left } tr + tr td { border-top: 1px solid var(--rule) }
.facts td { text-align: left; white-space: normal }
"""


def page(report: Report) -> str:
    """The text of the page."""
    title = f"{report.bundle.family} {report.bundle.variant}"
    lines = [*doubts(report), *(Text.from_markup(line).plain for line in headline(report)), *verdict(report)]
    body = (
        f"<h1>masklet profile: {escape(title)}</h1>",
        *(f"<p>{escape(line)}</p>" for line in lines[1:2]),
        _tiles(report),
        f'<div class="charts">{"".join(_cards(report))}</div>',
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>masklet profile: {escape(title)}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _tiles(report: Report) -> str:
    frame = report.frame
    figures = {
        "capture to masks, p50": f"{frame.p50_ms:.1f} ms",
        "p95": f"{frame.p95_ms:.1f} ms",
        "p99": f"{frame.p99_ms:.1f} ms",
        "frames/s, with sinks": f"{frame.fps:.2f}",
        "host, p50": f"{report.host.p50_ms:.1f} ms",
        "resident memory, peak": f"{report.memory.rss_peak_mb:.0f} MB",
    }
    tiles = (f'<div class="card tile"><b>{value}</b><span>{name}</span></div>' for name, value in figures.items())
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _cards(report: Report) -> Iterable[str]:
    colour = charts.colours(report)
    yield _card("Time per frame, by part", charts.stack(report) + _legend(colour), wide=True)
    yield _card("Latency", charts.histogram(report))
    typical = charts.timeline(report, report.typical)
    yield _card(f"The typical frame, {report.typical.index}", typical)
    yield _card(f"The slowest frame, {report.slowest.index}", charts.timeline(report, report.slowest))
    origin = "swept" if report.growth else "in this run"
    by_objects, by_memories = charts.cost_by_objects(report), charts.cost_by_memories(report)
    if by_objects:
        yield _card(f"Cost by objects, {origin}", by_objects)
    if by_memories:
        yield _card(f"Cost by memory frames, {origin}", by_memories)
    if report.roofline:
        yield _card("Roofline", charts.roof(report.roofline, colour))
    yield _card("Parts of a frame", _parts_table(report), wide=True)
    if report.roofline:
        yield _card("Arithmetic and traffic", _roofline_table(report), wide=True)
    if report.operators:
        yield _card(f"Operators of {report.operators.stage}", _operators_table(report.operators), wide=True)
    over_time = machine_charts(report.device.during)
    if over_time:
        yield _card("The machine over the run", over_time, wide=True)
    yield _card("Measured on", _facts(report), wide=True)


def _card(name: str, content: str, *, wide: bool = False) -> str:
    return f'<section class="card{" wide" if wide else ""}"><h2>{escape(name)}</h2>{content}</section>'


def _legend(colour: Mapping[str, str]) -> str:
    entries = (f'<span><i style="background:{c}"></i>{escape(name)}</span>' for name, c in colour.items())
    return f'<div class="legend">{"".join(entries)}</div>'


def _parts_table(report: Report) -> str:
    rows = [["capture to masks", "", *_figures(report.frame), report.frame.calls, ""]]
    for name, part in report.parts.items():
        each = f"{part.per_object_ms:.2f}" if part.per_object_ms is not None else ""
        rows.append([name, f"{part.share:.1%}", *_figures(part), part.calls, each])
    return _table(["part", "share", *(f"{name} ms" for name in PERCENTILES), "calls", "ms per object"], rows)


def _roofline_table(report: Report) -> str:
    if report.roofline is None:
        return ""
    rows = [
        [
            name,
            " ".join(f"{symbol}={size}" for symbol, size in s.sizes.items()),
            s.calls,
            *(f"{value:.2f}" for value in (s.gflop, s.mbytes, s.p50_ms, s.limit_ms, s.gflops)),
            s.reached,
            s.bound,
        ]
        for name, s in report.roofline.stages.items()
    ]
    head = ["stage", "at", "calls", "GFLOP", "MB", "p50 ms", "limit ms", "GFLOP/s", "of the limit", "bound by"]
    return _table(head, rows)


def _operators_table(found: StageOperators) -> str:
    rows = [[one.name, one.nodes, f"{one.ms:.3f}", f"{one.share:.1%}"] for one in found.operators]
    nodes = [[one.label, 1, f"{one.ms:.3f}", f"{one.share:.1%}"] for one in found.nodes[:SLOWEST_NODES]]
    head = ["nodes", "ms", "share"]
    return _table(["operator", *head], rows) + _table(["slowest nodes", *head], nodes)


def _facts(report: Report) -> str:
    bundle = msgspec.to_builtins(report.bundle)
    precision = ", ".join(f"{stage} {kind}" for stage, kind in bundle.pop("precision").items())
    facts = {"device": "\n".join(Text.from_markup(line).plain for line in device_lines(report))}
    facts |= {name.replace("_", " "): str(value) for name, value in bundle.items() if value is not None}
    facts |= {"precision": precision, "source": report.source.name, "warm-up": f"{report.warmup} frames, left out"}
    rows = (
        f"<tr><td>{escape(name)}</td><td>{escape(value).replace(chr(10), '<br>')}</td></tr>"
        for name, value in facts.items()
    )
    return f'<table class="facts">{"".join(rows)}</table>'


def _figures(found: Any) -> list[str]:
    return [f"{getattr(found, f'{name}_ms'):.2f}" for name in PERCENTILES]


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{top}</tr>{body}</table></div>'
