"""Curves over the frames of a clip as SVG: J and each position's precision, and what else was measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from masklet.calibration.diagnosis.measures.measures import FrameMeasures
from masklet.calibration.diagnosis.measures.readings import Reading
from masklet.calibration.diagnosis.observer.positions import Position
from masklet.calibration.diagnosis.verdicts.verdict import Verdict

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 84, 150, 12, 8, 16  # pixels of a curve
STYLES = ("soft", "refit", "main")  # of AUC, the refitted precision and the precision

Values = list[tuple[int, float | None]]  # by frame; None where there is none


@dataclass(frozen=True)
class Line:
    """Values by frame. style: of the line's class in the page."""

    style: str
    values: Values


def curves(measures: Sequence[FrameMeasures], verdicts: Sequence[Verdict]) -> list[str]:
    """One object's curves, one below the other, all of the same frames; what was lost is shaded."""
    first, last = measures[0].frame, measures[-1].frame
    spans = [(v.since, last if v.until is None else v.until, v.kind) for v in verdicts]
    absent = [(m.frame, m.frame + 1, "absent") for m in measures if m.in_sight is False]
    shades = [*absent, *spans]

    def chart(name: str, lines: Sequence[Line], top: float = 1.0) -> str:
        return _chart(name, lines, (first, max(last, first + 1)), top, shades)

    found = []
    if measures[0].j is not None:
        found.append(chart("J", [Line("main", _of(measures, lambda m: m.j if m.in_sight else None))]))
        for position in Position:
            names = ("auc", "refit_precision", "precision")
            lines = [Line(style, _read(measures, position, name)) for style, name in zip(STYLES, names, strict=True)]
            found.append(chart(position.value, lines))
    farthest = max([r.distance for m in measures for r in m.positions.values() if r.distance is not None], default=1.0)
    distances = [Line(f"p{n}", _read(measures, position, "distance")) for n, position in enumerate(Position)]
    found.append(chart("distance", distances, max(1.0, farthest)))
    found.append(chart("pointer, score", [Line("soft", _of(measures, lambda m: m.score)), _pointer(measures)]))
    if any(m.attention for m in measures):
        shares = _of(measures, lambda m: m.attention.on_object if m.attention else None)
        pointers = _of(measures, lambda m: m.attention.pointers if m.attention else None)
        found.append(chart("attention", [Line("soft", pointers), Line("main", shares)]))
    return found


def _pointer(measures: Sequence[FrameMeasures]) -> Line:
    return Line("main", _of(measures, lambda m: max(m.pointer_cosine, 0.0)))


def _of(measures: Sequence[FrameMeasures], value: Callable[[FrameMeasures], float | None]) -> Values:
    return [(m.frame, value(m)) for m in measures]


def _read(measures: Sequence[FrameMeasures], position: Position, name: str) -> Values:
    return [(m.frame, getattr(m.positions.get(position.value, Reading()), name)) for m in measures]


def _chart(
    name: str, lines: Sequence[Line], frames: tuple[int, int], top: float, shades: Sequence[tuple[int, int, str]]
) -> str:
    first, last = frames

    def x(frame: float) -> float:
        return LEFT + (frame - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text class="name" x="0" y="{y(top / 2) + 4:.0f}">{name}</text>']
    for start, end, kind in shades:
        left, right = x(min(start, last)), x(min(end, last))
        parts.append(
            f'<rect class="{kind}" x="{left:.1f}" y="{TOP}" width="{max(right - left, 1):.1f}" '
            f'height="{HEIGHT - TOP - BOTTOM}"/>'
        )
    for mark in (0, top / 2, top):
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(mark) + 4:.1f}" text-anchor="end">{mark:.1f}</text>')
    for frame in range(first, last + 1, max((last - first) // 10, 1)):
        parts.append(f'<text x="{x(frame):.0f}" y="{HEIGHT - 4}" text-anchor="middle">{frame}</text>')
    for line in lines:
        parts += [f'<polyline class="{line.style}" points="{p}"/>' for p in _pieces(line.values, x, y)]
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name} by frame">{"".join(parts)}</svg>'


def _pieces(values: Values, x: Callable[[float], float], y: Callable[[float], float]) -> list[str]:
    """The points of each stretch of known values."""
    pieces: list[list[str]] = [[]]
    for frame, value in values:
        if value is not None:
            pieces[-1].append(f"{x(frame):.1f},{y(value):.1f}")
        elif pieces[-1]:
            pieces.append([])
    return [" ".join(piece if len(piece) > 1 else piece * 2) for piece in pieces if piece]
