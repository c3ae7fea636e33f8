"""A calibration report as one self-contained HTML page: no script, no font, no network."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
from masklet.calibration.graphs.low_precision import FULL
from masklet.calibration.report.report import Report
from masklet.calibration.scoring.closed_loop import U8, Worst

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM = 860, 240, 52, 16, 30  # pixels of the chart

TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>masklet calibrate: {{ r.family }} {{ r.variant }} {{ r.precision }}</title><style>
:root { --paper: #fbfbf9; --card: #fff; --text: #20252b; --soft: #66707a; --rule: #e3e5e4; --accent: #3b76d6;
  --good: #2a8a4a; --bad: #c0392b }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --card: #1c2024; --text: #e4e7ea; --soft: #98a2ac;
  --rule: #31373d; --accent: #6d9df0; --good: #63c184; --bad: #ef7d70 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 28px 20px 60px; max-width: 1020px; background: var(--paper); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif }
h1 { margin: 0 0 2px; font-size: 24px } h2 { margin: 0 0 8px; font-size: 16px }
p { margin: 0 0 4px; color: var(--soft) }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 18px 0 }
.card { margin: 0 0 12px; padding: 14px 16px; background: var(--card); border: 1px solid var(--rule);
  border-radius: 8px; overflow-x: auto }
table + p { margin-top: 10px }
.tiles .card { margin: 0 } .tiles b { display: block; font-size: 22px; font-variant-numeric: tabular-nums }
.tiles span { color: var(--soft); font-size: 13px }
table { width: 100%; border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th { font-weight: 500; color: var(--soft) } th, td { padding: 4px 8px; text-align: right; white-space: nowrap }
th:first-child, td:first-child, td.words, th.words { text-align: left } td.words { white-space: normal;
  min-width: 200px }
tr + tr td { border-top: 1px solid var(--rule) }
.good { color: var(--good) } .bad { color: var(--bad) }
svg { width: 100%; height: auto; display: block } svg text { font: 11px system-ui, sans-serif; fill: var(--soft) }
svg polyline { fill: none; stroke: var(--accent); stroke-width: 2 } svg line { stroke: var(--rule) }
svg .bound { stroke: var(--bad); stroke-dasharray: 4 3 }
figure { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 4px; margin: 0 0 14px }
figure img { width: 100%; border-radius: 4px } figcaption { grid-column: 1 / -1; color: var(--soft); font-size: 13px }
</style></head><body>
<h1>{{ r.family }} {{ r.variant }}: {{ r.precision }}
  <span class="{{ 'good' if r.within else 'bad' }}">{{ 'within' if r.within else 'beyond' }} its limits</span></h1>
<p>{{ r.figures.frames }} frames of {{ r.sources | length }} source{{ '' if r.sources | length == 1 else 's' }}, from
{{ r.checkpoint }}{% if r.truth %}; J&amp;F against true masks{% else %}; no true masks were given{% endif %}.
{% if r.precision.int8_layers %}INT8 ranges by {{ r.method }}.{% endif %}</p>
<p>Limits: mask IoU with FP32 at least {{ r.bound.min_iou }}{% if r.truth %}, at most {{ r.bound.max_drop }} points of
J&amp;F lost{% endif %}.</p>
<div class="tiles">
{% for value, name in tiles %}<div class="card"><b>{{ value }}</b><span>{{ name }}</span></div>{% endfor %}
</div>
<section class="card"><h2>Stages</h2>
<table><tr><th>stage</th><th class="words">precision</th><th>MB</th><th>of FP32</th><th>ms</th><th>FP32 ms</th>
<th>speed</th><th>difference</th><th>IoU, alone</th><th>J&amp;F, alone</th></tr>
{% for row in stages %}<tr>{% for cell in row %}<td{% if loop.index == 2 %} class="words"{% endif %}>{{ cell }}</td>
{% endfor %}</tr>{% endfor %}</table>
<p>Ran on {{ r.ran_on }}. Milliseconds per call alternate with FP32 in ONNX Runtime on recorded frames; speed: median of
pairs of calls,
slowest and fastest in brackets.{% if r.speed %} All stages together, one call each:
{{ "%.2f"|format(r.speed) }}x as fast as FP32.{% endif %}
{% if r.measured.busy %} <b class="bad">The machine was busy: speeds mean little.</b>{% endif %}
Difference: of the worst output, relative to FP32. Alone: every other stage in FP32.</p></section>
<section class="card"><h2>Mask IoU with FP32 along the clip</h2>{{ curve }}
<p>Mean over objects and sources, by frames since the prompt. Masks lost (only FP32 has one): {{ r.figures.lost }}
frames; masks gained (only {{ r.precision }} has one): {{ r.figures.gained }}. FP32 has a mask in {{ r.figures.seen }}
of {{ r.figures.of }} object frames after the prompts.</p>
{% if r.phrases %}<p>Instances of {{ r.phrases | join(', ') }} are matched if their masks overlap by more than half; an
instance without a match counts 0. Ids switched between frames {{ r.figures.switched }} times.
</p>{% endif %}</section>
<section class="card"><h2>The worst frames: FP32, {{ r.precision }}, and the difference</h2>
{% for name, full, low, differ in pictures %}<figure><img alt="FP32" src="{{ full }}"><img alt="{{ r.precision }}"
src="{{ low }}"><img alt="difference" src="{{ differ }}"><figcaption>{{ name }}</figcaption></figure>{% endfor %}
<p>Red: only in the mask of FP32; blue: only in the mask of {{ r.precision }}.</p></section>
<section class="card"><h2>Trials</h2>
<table><tr><th>trial</th><th>IoU</th><th>J&amp;F</th><th>lost</th><th class="words">kept higher</th></tr>
{% for row in trials %}<tr><td>{{ row[0] }}</td>{% for cell in row[1:4] %}<td class="{{ row[5] }}">{{ cell }}</td>
{% endfor %}<td class="words">{{ row[4] }}</td></tr>{% endfor %}</table></section>
{% if r.fp32_tensors %}<section class="card"><h2>Tensors near the largest FP16 number, kept FP32</h2><table>
{% for stage, tensors in r.fp32_tensors.items() %}{% for name, largest in tensors.items() %}
<tr><td>{{ stage }}: {{ name }}</td><td>{{ '%.0f' | format(largest) }}</td></tr>{% endfor %}{% endfor %}</table>
</section>{% endif %}
{% if r.measured %}<p>{{ r.measured | string | e }}</p>{% endif %}
</body></html>
"""


def page(report: Report, worst: Sequence[Worst]) -> str:
    """The text of the page. worst: the frames to show."""
    from jinja2 import Environment
    from markupsafe import Markup

    template = Environment(autoescape=True, trim_blocks=True).from_string(TEMPLATE)
    return template.render(
        r=report,
        tiles=_tiles(report),
        stages=[_stage(report, name) for name in report.stages],
        curve=Markup(_curve(report)),
        pictures=[_shown(report, each) for each in worst],
        trials=[_trial(report, trial) for trial in report.trials],
    )


def _tiles(report: Report) -> list[tuple[str, str]]:
    figures = report.figures
    tiles = [(f"{figures.iou:.4f}", "mask IoU with FP32"), (f"{figures.least_iou:.3f}", "IoU of the worst frame")]
    if figures.jf is not None and figures.drop is not None:
        tiles += [(f"{figures.jf:.2f}", "J&F"), (f"{figures.drop:+.2f}", "points lost against FP32")]
    tiles += [(f"{figures.drift:+.4f}", "drift of IoU, first to last third")]
    if report.phrases and figures.matched_iou is not None:
        tiles += [
            (f"{figures.matched_iou:.4f}", "IoU of matched instances"),
            (f"{figures.score_difference:.4f}", "difference of their scores"),
            (f"{figures.lost}, {figures.gained}", "instances lost, gained"),
        ]
    return [*tiles, (f"{report.bytes / 1e6:.1f} MB", f"{report.bytes / report.fp32_bytes:.2f} of FP32's size")]


def _stage(report: Report, name: str) -> list[str]:
    figures, alone = report.stages[name], report.alone.get(name)
    timed = figures.ms is not None and figures.fp32_ms is not None
    return [
        name,
        str(figures.choice),
        f"{figures.bytes / 1e6:.2f}",
        f"{figures.bytes / figures.fp32_bytes:.2f}",
        f"{figures.ms:.1f}" if timed else "",
        f"{figures.fp32_ms:.1f}" if timed else "",
        figures.speed,
        f"{figures.worst:.1e}" if figures.parity else "",
        f"{alone.iou:.4f}" if alone else "",
        f"{alone.jf:.2f}" if alone and alone.jf is not None else "",
    ]


def _trial(report: Report, trial: Any) -> list[str]:
    lowered = {stage for each in report.trials for stage, choice in each.choices.items() if choice != FULL}
    higher = [
        f"{stage}: {choice}"
        for stage, choice in trial.choices.items()
        if stage in lowered and str(choice) != report.precision
    ]
    figures = trial.figures
    return [
        trial.why,
        f"{figures.iou:.4f}",
        "" if figures.jf is None else f"{figures.jf:.2f}",
        "" if figures.drop is None else f"{figures.drop:+.2f}",
        "; ".join(higher),
        "good" if trial.within else "bad",
    ]


def _curve(report: Report) -> str:
    low = min(*(iou for _, iou in report.curve), report.bound.min_iou) - 0.005
    last = max(report.curve[-1][0], 1)

    def x(index: float) -> float:
        return LEFT + index / last * (WIDTH - LEFT - RIGHT)

    def y(iou: float) -> float:
        return 10 + (1 - iou) / (1 - low) * (HEIGHT - BOTTOM - 10)

    points = " ".join(f"{x(index):.1f},{y(iou):.1f}" for index, iou in report.curve)
    marks = [low + (1 - low) * part / 4 for part in range(5)]
    lines = [f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(m):.1f}" y2="{y(m):.1f}"/>' for m in marks]
    lines += [f'<text x="4" y="{y(m) + 4:.1f}">{m:.4f}</text>' for m in marks]
    at = y(report.bound.min_iou)
    lines += [f'<line class="bound" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>']
    for n in range(0, last + 1, max(last // 8, 1)):
        lines.append(f'<text x="{x(n):.0f}" y="{HEIGHT - 10}" text-anchor="middle">{n}</text>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="IoU with FP32 by frames since the prompt">'
        f'{"".join(lines)}<polyline points="{points}"/></svg>'
    )


def _shown(report: Report, worst: Worst) -> tuple[str, str, str, str]:
    clip, frame = (-number for number in worst.place)
    source = "/".join(Path(report.sources[clip]).parts[-2:])
    name = f"{source}, frame {frame}: IoU {1 - worst.difference:.3f}"
    return name, picture(worst.full), picture(worst.low), picture(worst.differ)


def picture(image: U8) -> str:
    """An RGB image as the address of a JPEG within the page."""
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
