"""A search as one self-contained HTML page: no script, no font, no network."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from masklet.calibration.report.page import picture
from masklet.calibration.scoring.closed_loop import Worst
from masklet.calibration.tuning.report import Report
from masklet.calibration.tuning.template import TEMPLATE
from masklet.calibration.tuning.terminal import in_words, sentence

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 920, 380, 56, 24, 16, 44  # pixels of the chart


def page(report: Report, worst: Sequence[Worst]) -> str:
    """The text of the page. worst: frames of the chosen point beside the exact pipeline's."""
    from jinja2 import Environment
    from markupsafe import Markup

    template = Environment(autoescape=True, trim_blocks=True).from_string(TEMPLATE)
    chosen = report.chosen
    return template.render(
        r=report,
        tiles=_tiles(report),
        words=in_words(report),
        sentence=None if chosen is None else sentence(report, chosen),
        chart=Markup(chart(report)),
        numbered=list(enumerate(report.tried, start=1)),
        on_front={row.name for row in report.front},
        pictures=[(_caption(report, w), picture(w.full), picture(w.low), picture(w.differ)) for w in worst],
        stages=_stages(report),
    )


def chart(report: Report) -> str:
    """Latency against accuracy as SVG: every point with its number, explained where the pointer is over it."""
    rows = report.tried
    losses = [row.loss for row in rows] + [report.max_loss, 0.0]
    low, high = min(losses) - 0.2, max(min(max(losses), 6 * max(report.max_loss, 0.5)), report.max_loss + 0.5)
    times = [row.ms for row in rows] + [report.target_ms]
    first, last = math.log(min(times) / 1.15), math.log(max(times) * 1.15)

    def x(ms: float) -> float:
        return LEFT + (math.log(ms) - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(loss: float) -> float:
        return TOP + (min(loss, high) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    lines = [
        f'<rect class="fits" x="{LEFT}" y="{TOP}" width="{x(report.target_ms) - LEFT:.1f}" '
        f'height="{y(report.max_loss) - TOP:.1f}"/>'
    ]
    for loss in _marks(low, high):
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(loss):.1f}" y2="{y(loss):.1f}"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{y(loss) + 4:.1f}" text-anchor="end">{-loss:+.1f}</text>')
    for ms in _ticks(min(times), max(times)):
        lines.append(f'<text x="{x(ms):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{ms:g}</text>')
    lines.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">milliseconds a frame</text>')
    lines.append(f'<text x="{LEFT}" y="{HEIGHT - 6}">points of {escape(report.by)} against the exact pipeline</text>')
    front = " ".join(f"{x(row.ms):.1f},{y(row.loss):.1f}" for row in report.front)
    lines.append(f'<polyline points="{front}"/>')
    names = {row.name for row in report.front}
    for number, row in enumerate(rows, start=1):
        is_chosen = report.chosen is not None and row.name == report.chosen.name
        kind, size = ("chosen", 7) if is_chosen else ("front" if row.name in names else "other", 4.5)
        lines.append(
            f'<g class="{kind}"><circle cx="{x(row.ms):.1f}" cy="{y(row.loss):.1f}" r="{size}"/>'
            f'<text x="{x(row.ms) + 8:.1f}" y="{y(row.loss) - 6:.1f}">{number}</text>'
            f"<title>{number}: {escape(sentence(report, row))}</title></g>"
        )
    label = f"{len(rows)} points by latency and by {report.by} lost"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(lines)}</svg>'


def _marks(low: float, high: float) -> list[float]:
    step = next(step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if (high - low) / step <= 8)
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _ticks(low: float, high: float) -> list[float]:
    return [m * 10.0**e for e in range(-3, 6) for m in (1, 2, 5) if low / 1.2 <= m * 10.0**e <= high * 1.2]


def _tiles(report: Report) -> list[tuple[str, str]]:
    chosen, exact = report.chosen, report.exact
    tiles = [(f"{report.target_ms:.1f} ms", f"budget of a frame, {1e3 / report.target_ms:.1f} frames/s")]
    if chosen is not None:
        tiles += [
            (f"{chosen.ms:.1f} ms", f"a frame on average; 95 of 100 within {chosen.p95:.1f}"),
            (f"{exact.ms / chosen.ms:.2f}x", f"as fast as the exact pipeline, {exact.ms:.1f} ms"),
            (f"{chosen.loss:+.2f}", f"points of {report.by} lost, at most {report.max_loss}"),
        ]
    return [*tiles, (f"{len(report.tried)}", f"points tried in {report.minutes:.1f} minutes")]


def _stages(report: Report) -> list[tuple[str, float, float, str]]:
    """Each stage of the exact pipeline and of the chosen point: milliseconds in a frame, and the backend."""
    chosen = report.chosen
    if chosen is None:
        return []
    names = dict.fromkeys([*report.exact.stages, *chosen.stages])
    return [
        (name, report.exact.stages.get(name, 0.0), chosen.stages.get(name, 0.0), chosen.place.get(name, "onnxruntime"))
        for name in names
    ]


def _caption(report: Report, worst: Worst) -> str:
    clip, frame = (-number for number in worst.place)
    source = "/".join(Path(report.proved_on[clip]).parts[-2:])
    return f"{source}, frame {frame}: IoU {1 - worst.difference:.3f}"
