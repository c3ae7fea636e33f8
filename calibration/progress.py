"""A bar in the terminal for work of minutes: what is done, how much of it, of how much."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

Tell = Callable[[str, int, int | None], None]
"""Takes what is being done, how much of it is done, and of how much; None where that is not known."""


@contextmanager
def progress_bar(*columns: ProgressColumn) -> Iterator[Tell]:
    """A bar on standard error while it is open, nothing where that is no terminal.

    columns: what follows the bar; the share that is done and the time left, where none are given.
    """
    console = Console(stderr=True)
    shown = columns or (TaskProgressColumn(), TimeRemainingColumn())
    whole = (TextColumn("{task.description}"), BarColumn(), *shown)
    with Progress(*whole, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("opening the bundle", total=None)

        def tell(what: str, done: int, total: int | None) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield tell
