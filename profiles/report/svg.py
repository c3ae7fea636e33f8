"""Charts as inline SVG: axes with round ticks, and marks in data coordinates. Colours come from the page's style."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

LEFT, RIGHT, TOP, BOTTOM = 64, 16, 12, 40  # pixels around the plot
MOST_TICKS = 6
FEW_DECADES = 300.0  # a logarithmic axis with a smaller ratio has ticks at 2 and 5 as well
LINE = 12  # height of a line of text in pixels


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of numbers with a name. Raises ValueError if it is empty.

    log:   logarithmic.
    whole: whole numbers only, with no ticks between them.
    """

    low: float
    high: float
    name: str
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"axis {self.name!r}: the range {self.low} to {self.high} is empty")

    def part(self, value: float) -> float:
        """The position of a value on the axis, 0..1."""
        if self.log:
            return (math.log10(value) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round values within the range."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = (1, 2, 5) if self.high / self.low < FEW_DECADES else (1,)
            ticks = [step * 10.0**power for power in powers for step in steps]
            return [tick for tick in ticks if self.low <= tick <= self.high]
        step = max(_round_step((self.high - self.low) / MOST_TICKS), 1.0 if self.whole else 0.0)
        first = math.ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


@dataclass
class Chart:
    """Marks on two axes; width and height in pixels. `str()` gives the SVG."""

    x: Axis
    y: Axis
    width: int = 560
    height: int = 240
    left: int = LEFT
    right: int = RIGHT
    y_labels: bool = True
    marks: list[str] = field(default_factory=list)

    def px(self, x: float) -> float:
        """Pixels from the left."""
        return self.left + self.x.part(x) * (self.width - self.left - self.right)

    def py(self, y: float) -> float:
        """Pixels from the top."""
        return self.height - BOTTOM - self.y.part(y) * (self.height - TOP - BOTTOM)

    def box(self, x0: float, x1: float, y0: float, y1: float, colour: str, title: str) -> None:
        """A filled rectangle, at least half a pixel wide; its title is a tooltip."""
        left, right, top, bottom = self.px(x0), self.px(x1), self.py(y1), self.py(y0)
        self.marks.append(
            f'<rect x="{left:.2f}" y="{top:.2f}" width="{max(right - left, 0.5):.2f}" '
            f'height="{max(bottom - top, 0):.2f}" fill="{colour}"><title>{escape(title)}</title></rect>'
        )

    def line(self, points: Sequence[tuple[float, float]], colour: str, kind: str = "line") -> None:
        """A line through points. kind: a class of the page's style."""
        path = " ".join(f"{self.px(x):.1f},{self.py(y):.1f}" for x, y in points)
        self.marks.append(f'<polyline class="{kind}" points="{path}" stroke="{colour}"/>')

    def dot(self, x: float, y: float, colour: str, title: str) -> None:
        """A round mark."""
        spot = f'cx="{self.px(x):.1f}" cy="{self.py(y):.1f}"'
        self.marks.append(f'<circle {spot} r="4" fill="{colour}"><title>{escape(title)}</title></circle>')

    def text(self, x: float, y: float, words: str, kind: str = "note", *, dx: float = 0, dy: float = 0) -> None:
        """Text at a position of the data, shifted by pixels. kind: a class of the page's style."""
        at = f'x="{self.px(x) + dx:.1f}" y="{self.py(y) + dy:.1f}"'
        self.marks.append(f'<text class="{kind}" {at}>{escape(words)}</text>')

    def labels(self, places: Sequence[tuple[float, float, str]], kind: str = "note", *, dx: float = 8) -> None:
        """Labels beside positions of the data, moved up or down where they would overlap."""
        taken: list[float] = []
        for x, y, words in sorted(places, key=lambda place: -self.py(place[1])):
            at = self.py(y) + 4
            at = min(at, *(other - LINE for other in taken)) if taken else at
            taken.append(at)
            self.text(x, y, words, kind, dx=dx, dy=at - self.py(y))

    def __str__(self) -> str:
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(self.y.name)} by '
            f'{escape(self.x.name)}">{self._axes()}{"".join(self.marks)}</svg>'
        )

    def _axes(self) -> str:
        bottom, right = self.height - BOTTOM, self.width - self.right
        drawn = [f'<line class="axis" x1="{self.left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>']
        for tick in self.x.ticks():
            drawn.append(f'<text class="tick mid" x="{self.px(tick):.1f}" y="{bottom + 15}">{_figure(tick)}</text>')
        for tick in self.y.ticks() if self.y_labels else ():
            y = self.py(tick)
            drawn.append(f'<line class="grid" x1="{self.left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            drawn.append(f'<text class="tick end" x="{self.left - 6}" y="{y + 3.5:.1f}">{_figure(tick)}</text>')
        middle = (self.left + right) / 2
        drawn.append(f'<text class="name mid" x="{middle:.0f}" y="{self.height - 6}">{escape(self.x.name)}</text>')
        if self.y_labels:
            turn = f'transform="translate(12 {(TOP + bottom) / 2:.0f}) rotate(-90)"'
            drawn.append(f'<text class="name mid" {turn}>{escape(self.y.name)}</text>')
        return "".join(drawn)


def spread(values: Sequence[float], share: float = 0.06) -> tuple[float, float]:
    """A range with a margin around all values, even if they are all equal."""
    low, high = min(values), max(values)
    margin = (high - low) * share or abs(high) * share or 1.0
    return low - margin, high + margin


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10 times a power of ten that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9))


def _figure(value: float) -> str:
    return f"{value:,.10g}"
