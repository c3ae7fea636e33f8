"""A diagnosis in the terminal: the verdicts, then the table of positions."""

from masklet.calibration.diagnosis.observer.positions import Position
from masklet.calibration.diagnosis.report.report import AS_IT_IS, Condition, Report
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

WIDTH = 130  # columns where the output is no terminal


def show(report: Report) -> None:
    """Print what was found."""
    console = Console()
    console = console if console.is_terminal else Console(width=WIDTH)
    if not report.truth:
        console.print(
            "Without --truth nothing is judged: distances, pointers, scores and attention are in the reports."
        )
        return
    for condition in report.side.conditions:
        _show_verdicts(console, condition, len(report.side.conditions) > 1)
    console.print(_table(report.side.conditions, len(report.side.conditions) > 1))
    if report.against is not None:
        console.print(_differences(report.side.conditions, report.against.conditions, report.against.bundle))


def _show_verdicts(console: Console, condition: Condition, named: bool) -> None:
    title = f"{condition.name}: " if named else ""
    if not condition.findings:
        console.print(Text(f"{title}no object was lost."))
    for finding in condition.findings:
        console.print(Text(title + finding.sentence))
        for remedy in () if named and condition.name != AS_IT_IS else finding.remedies:
            console.print(Padding(Text(f"- {remedy}"), (0, 0, 0, 2)))


def _table(conditions: list[Condition], named: bool) -> Table:
    """Precision at each position, in hundredths, with J and what was lost."""
    table = Table(box=SIMPLE_HEAD, title="precision at each position, mean over frames in sight", title_justify="left")
    table.add_column("clip")
    for name in ("J", *(position.value for position in Position), "lost"):
        table.add_column(name, justify="right")
    table.add_column("first at")
    for condition in conditions:
        readings = [_number(condition.positions[position.value].precision) for position in Position]
        table.add_row(condition.name, _number(condition.j), *readings, str(condition.breakdowns), condition.weakest)
    return table


def _differences(own: list[Condition], others: list[Condition], name: str) -> Table:
    table = Table(box=SIMPLE_HEAD, title=f"{name} less this: J, and precision at each position", title_justify="left")
    table.add_column("clip")
    for column in ("J", *(position.value for position in Position), "lost"):
        table.add_column(column, justify="right")
    for mine, other in zip(own, others, strict=True):
        pairs = [(mine.j, other.j)]
        pairs += [(mine.positions[p.value].precision, other.positions[p.value].precision) for p in Position]
        changed = ["" if a is None or b is None else f"{b - a:+.3f}" for a, b in pairs]
        table.add_row(mine.name, *changed, f"{mine.breakdowns} -> {other.breakdowns}")
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
