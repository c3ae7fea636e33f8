"""A search as tables in the terminal."""

from masklet.calibration.tuning.report import Report, Row
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

WIDTH = 130  # columns if the output is not a terminal


def show(report: Report) -> None:
    """Print what each knob does, the front, and what was chosen."""
    console = Console()
    console = console if console.is_terminal else Console(width=WIDTH)
    if report.measured.busy:
        console.print(
            f"[yellow]the machine was busy[/yellow]: load {report.measured.load:.1f} on {report.measured.cores} cores; "
            "times mean little",
            highlight=False,
        )
    alone = _table("Each knob alone", "knob", "choice", "ms", "speed", f"{report.by} lost", "IoU")
    for one in report.alone:
        alone.add_row(one.knob, one.row.name, *_numbers(one.row, f"{one.speed:.2f}x"))
    console.print(alone)
    front = _table("The front: no other point is faster and more accurate", "", "choice", "ms", "", "lost", "IoU")
    for each in report.front:
        mark = "chosen" if report.chosen is not None and each.name == report.chosen.name else ""
        front.add_row(mark, each.name, *_numbers(each, f"{report.exact.ms / max(each.ms, 1e-6):.2f}x"))
    console.print(front)
    console.print(f"{in_words(report)}; * on the part that was searched", highlight=False)
    if report.error is not None:
        console.print(f"predicted and measured latency differ by {report.error:.1%} (median)", highlight=False)
    for row in report.closest:
        console.print(f"closest: {sentence(report, row)}", highlight=False)
    if report.chosen is not None:
        console.print(sentence(report, report.chosen), highlight=False)


def in_words(report: Report) -> str:
    """How many points were tried, and on what the accuracy was judged."""
    count, searched = len(report.proved_on), len(report.sources) - len(report.proved_on)
    where = f"{count} clips that were not searched" if count > 1 else "a clip that was not searched"
    if not searched:
        where = "the clip that was searched, since there was no other"
    against = "true masks" if report.by == "J&F" else "the exact pipeline, since there were no true masks"
    return f"{len(report.tried)} points tried; accuracy against {against}, on {where}"


def sentence(report: Report, row: Row) -> str:
    """A point in one line, beside the exact pipeline."""
    accuracy = f"{row.loss:+.2f} points of {report.by} lost" if report.by == "J&F" else f"mask IoU {row.iou:.4f}"
    return (
        f"{row.name}: {row.ms:.1f} ms a frame, {1e3 / row.ms:.1f} frames/s, {report.exact.ms / row.ms:.2f}x as fast as "
        f"the exact pipeline ({report.exact.ms:.1f} ms); {accuracy}"
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), min_width=len(title)
    )
    for name in columns[:2]:
        table.add_column(name)
    for name in columns[2:]:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _numbers(row: Row, speed: str) -> tuple[str, str, str, str]:
    return f"{row.ms:.1f}", speed, f"{row.loss:+.2f}{'' if row.proved else ' *'}", f"{row.iou:.4f}"
