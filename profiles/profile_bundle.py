"""The command `masklet profile`: checks outputs, shows progress, writes the report in the requested forms."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import typer
from masklet.profiles.pipeline import Profile, ProfileRequest, no_roofline, profile
from masklet.profiles.report.compare import Comparison, compare
from masklet.profiles.report.page import page
from masklet.profiles.report.report import read_report
from masklet.profiles.report.terminal import comparison_table, show
from masklet.profiles.report.trace import trace
from masklet.runtime.bundle.bundle import BundleChoice
from masklet.runtime.sinks.output_file import check_writable, write_whole
from rich.console import Console
from rich.progress import Progress

INTERRUPTED = 130
WIDTH = 130  # columns if the output is not a terminal
REFRESH_S = 0.5  # minimum interval of drawing the progress bar; it is drawn between frames, outside timed code


@dataclass(frozen=True, slots=True)
class Reports:
    """The files of the report; None leaves a form out. The terminal always shows it."""

    json: Path | None
    trace: Path | None
    html: Path | None

    def check(self) -> None:
        """Raise SinkError, before any work, if a file cannot be written."""
        for path in filter(None, (self.json, self.trace, self.html)):
            check_writable(path)

    def write(self, outcome: Profile) -> None:
        """Write all files."""
        stages = list(outcome.report.bundle.precision)
        name = f"masklet {outcome.report.bundle.family} {outcome.report.bundle.variant}"
        forms: Mapping[Path | None, Callable[[], bytes]] = {
            self.json: lambda: msgspec.json.format(msgspec.json.encode(outcome.report), indent=1) + b"\n",
            self.trace: lambda: trace(outcome.frames, stages, outcome.report.warmup, name),
            self.html: lambda: page(outcome.report).encode(),
        }
        for path, form in forms.items():
            if path is not None:
                write_whole(path, form())


def run_profile(bundle: BundleChoice, request: ProfileRequest, reports: Reports) -> None:
    """Profile, print, write. Ctrl-C ends the run, reports the frames measured so far and exits with 130."""
    reports.check()
    opened = bundle.load()
    console = Console(stderr=True)

    def tell(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    with Progress(console=console, transient=True, auto_refresh=False, disable=not console.is_terminal) as bar:
        outcome = profile(opened, request, _drawn(bar), tell)
    show(outcome.report, _console())
    reason = no_roofline(request.backend)
    if reason is not None:
        tell(f"no roofline: {reason}")
    reports.write(outcome)
    if outcome.interrupted:
        typer.echo("masklet: interrupted; the report covers the frames up to this point", err=True)
        raise typer.Exit(INTERRUPTED)


def run_compare(paths: Sequence[Path], json: Path | None = None) -> None:
    """Compare two reports that `--json` wrote. json: where the comparison goes besides the terminal."""
    if json is not None:
        check_writable(json)
    a, b = map(read_report, paths)
    comparison: Comparison = compare(a, b)
    console = _console()
    console.print(f"A {paths[0]}\nB {paths[1]}", highlight=False, soft_wrap=True)
    for difference in comparison.differences:
        console.print(f"[yellow]different[/yellow]: {difference}", highlight=False, soft_wrap=True)
    console.print(comparison_table(comparison))
    console.print(f"[bold]{comparison.changes[0].verdict}[/bold]", highlight=False, soft_wrap=True)
    if comparison.differences:
        console.print("the runs also differ in the points listed above", highlight=False, soft_wrap=True)
    if json is not None:
        write_whole(json, msgspec.json.format(msgspec.json.encode(comparison), indent=1) + b"\n")


def _drawn(bar: Progress) -> Callable[[str, int, int | None], None]:
    task = bar.add_task("opening the bundle", total=None)
    drawn_s = 0.0

    def progress(what: str, done: int, total: int | None) -> None:
        nonlocal drawn_s
        if time.monotonic() - drawn_s >= REFRESH_S:
            bar.update(task, description=what, completed=done, total=total, refresh=True)
            drawn_s = time.monotonic()

    return progress


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)
