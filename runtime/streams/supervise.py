"""The main thread of a run: progress, watchdogs, status lines, and the summary at the end."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import typer
from masklet.runtime.errors import SourceError
from masklet.runtime.streams.log import Log
from masklet.runtime.streams.runner import Runner
from masklet.runtime.streams.stream import Stream
from masklet.runtime.streams.watchdog import Watchdog
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

INTERRUPTED = 130
SOME_FAILED = 3
TICK_S = 0.2
STATUS_S = 10.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for frames.

    silence_s: seconds without a frame until the watchdog warns.
    give_up_s: seconds without a frame until the stream ends; None for never.
    """

    silence_s: float
    give_up_s: float | None


@dataclass(slots=True)
class _Supervised:
    """A stream under supervision.

    wrote: its outputs as text. task: its line of the progress bar, if there is one. told: its failure was logged.
    """

    stream: Stream
    wrote: str
    watchdog: Watchdog
    task: TaskID | None
    told: bool = False


class Supervisor:
    """Watches the streams of a runner.

    wrote:    outputs of each stream, as text for the summary.
    numbered: name the numbers of streams in messages.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        wrote: Sequence[str],
        log: Log,
        patience: Patience,
        progress: Progress | None,
        *,
        numbered: bool,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._log, self._patience, self._progress = log, patience, progress
        self._clock, self._numbered = clock, numbered
        self._began_s = self._status_s = clock()
        self._supervised = [
            _Supervised(stream, text, Watchdog(patience.silence_s), self._new_task(stream))
            for stream, text in zip(streams, wrote, strict=True)
        ]

    def run(self, runner: Runner) -> bool:
        """Run to the end. Returns True if Ctrl-C or SIGTERM ended the run; finished results are then written."""
        runner.start()
        try:
            while runner.running:
                runner.wait(TICK_S)
                self.tick()
            return False
        except KeyboardInterrupt:
            runner.stop()
            runner.wait()
            return True

    def tick(self) -> None:
        """Check every stream once."""
        now_s = self._clock()
        for one in self._supervised:
            self._look(one)
        if now_s - self._status_s >= STATUS_S:
            self._status_s = now_s
            for stream in (one.stream for one in self._supervised):
                self._log.figures("status", stream.number, source=stream.name, **self._figures(stream))

    def close(self, interrupted: bool, unopened: int) -> None:
        """Log how every stream ended. Raises the error of a single stream, or typer's Exit with the exit code.

        unopened: number of streams that could not be opened.
        """
        errors = [one.stream.error for one in self._supervised if one.stream.error is not None]
        if errors and not self._numbered:
            raise errors[0]
        for one in self._supervised:
            self._say_failed(one)
            more = one.stream.sightings.lines()
            self._log.summary(self._summary(one), self._label(one.stream), more, **self._figures(one.stream))
        if interrupted:
            self._log.event("interrupted", "outputs are complete up to this point")
            raise typer.Exit(INTERRUPTED)
        if errors or unopened:
            raise typer.Exit(SOME_FAILED)

    def _new_task(self, stream: Stream) -> TaskID | None:
        if self._progress is None:
            return None
        name = f"stream {stream.number}" if self._numbered else "tracking"
        return self._progress.add_task(name, total=stream.source.frames, fps="")

    def _look(self, one: _Supervised) -> None:
        stream = one.stream
        silent_s = stream.silent_s if stream.error is None else 0.0
        said = one.watchdog.look(silent_s)
        if said:
            self._log.event(said[0], f"{stream.name}: {said[1]}", stream=self._label(stream))
        give_up_s = self._patience.give_up_s
        if give_up_s is not None and silent_s >= give_up_s:
            stream.fail(SourceError(f"{stream.name}: no frame for {silent_s:.0f} s; gave up"))
        if self._numbered:
            self._say_failed(one)
        if self._progress is not None and one.task is not None:
            done = stream.counts.processed
            rate = f"{done / max(self._clock() - self._began_s, 1e-9):.1f} frames/s"
            self._progress.update(one.task, completed=done, fps=rate)

    def _say_failed(self, one: _Supervised) -> None:
        if one.stream.error is not None and not one.told:
            one.told = True
            self._log.event("failed", str(one.stream.error), stream=self._label(one.stream))

    def _label(self, stream: Stream) -> int | None:
        return stream.number if self._numbered else None

    def _figures(self, stream: Stream) -> dict[str, float]:
        counts = stream.counts
        rate = counts.processed / max(self._clock() - self._began_s, 1e-9)
        objects = {"objects": stream.objects, "visible": stream.sightings.visible}
        return {**asdict(counts), **objects, "frames_per_s": round(rate, 2)}

    def _summary(self, one: _Supervised) -> str:
        counts, figures = one.stream.counts, self._figures(one.stream)
        line = f"{counts.processed} frames, {one.stream.objects} objects, {figures['frames_per_s']:.2f} frames/s"
        for count, words in (
            (counts.dropped, "dropped"),
            (counts.corrupt, "corrupt frames skipped"),
            (counts.reconnects, "reconnects"),
        ):
            line += f", {count} {words}" if count else ""
        return f"{line}; wrote {one.wrote}" if one.wrote else line


@contextmanager
def progress_bar(console: Console, shown: bool) -> Iterator[Progress | None]:
    """A progress bar on the console, or none."""
    if not shown:
        yield None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[fps]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield progress
