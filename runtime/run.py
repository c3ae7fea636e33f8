"""What `masklet run` does: a source through a tracker into sinks, with progress, up to the end or Ctrl-C."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from masklet.runtime.backends.onnxrt import OnnxRuntime
from masklet.runtime.bundle import Bundle
from masklet.runtime.errors import PromptError, SinkError
from masklet.runtime.prompts import Schedule
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.session import Sessions
from masklet.runtime.sinks import MaskPngs, MasksJsonl, OverlayVideo, Sink, Sinks
from masklet.runtime.sources import Source, open_source
from masklet.runtime.video import TrackerOptions, VideoTracker
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where results go; None leaves an output out."""

    overlay: Path | None = None
    masks: Path | None = None
    pngs: Path | None = None

    def open(self, fps: float) -> Sinks:
        """Open a sink for each output. Raises SinkError where one cannot be written."""
        sinks: list[Sink] = []
        if self.overlay is not None:
            sinks.append(OverlayVideo(self.overlay, fps))
        if self.masks is not None:
            sinks.append(MasksJsonl(self.masks))
        if self.pngs is not None:
            sinks.append(MaskPngs(self.pngs))
        return Sinks(sinks)

    def spare(self, source: str) -> None:
        """Raise SinkError where an output is the source itself, which opening it would empty."""
        for path in (self.overlay, self.masks):
            if path is not None and path.exists() and Path(source).exists() and path.samefile(source):
                raise SinkError(f"{path}: is the source itself; write the output to another file")

    def __str__(self) -> str:
        return ", ".join(str(path) for path in (self.overlay, self.masks, self.pngs) if path is not None)


def follow(tracker: VideoTracker, frames: Iterable[Frame], schedule: Schedule) -> Iterator[tuple[Frame, FrameResult]]:
    """Run frames through a tracker, giving each prompt on its frame.

    Raises PromptError after the last frame where a prompt's frame did not come.
    """
    pending = dict(schedule)
    for frame in frames:
        yield frame, tracker.step(frame, pending.pop(frame.index, None))
    if pending:
        raise PromptError(f"prompts for frame {min(pending)} were not used: that frame did not come")


def track(
    bundle: Path,
    source: str,
    schedule: Schedule,
    outputs: Outputs,
    *,
    cut: Mapping[str, Any],
    non_overlapping: bool,
    threads: int | None,
    check_hashes: bool,
) -> None:
    """Track prompted objects through a source and write what was asked for.

    cut: which frames, as `open_source` takes them (start, end, stride, max_side, reverse).
    Ctrl-C closes the outputs, which stay readable, and exits with 130.
    """
    if not schedule:
        raise PromptError("nothing to track: give at least one of --point, --box and --mask")
    outputs.spare(source)
    model = Bundle.load(bundle, check_hashes=check_hashes)
    with open_source(source, **cut) as frames:
        _check_frames_come(schedule, frames)
        with outputs.open(frames.fps) as sinks, Sessions.open(model, OnnxRuntime(threads)) as sessions:
            tracker = VideoTracker(sessions, TrackerOptions(non_overlapping=non_overlapping))
            _run(tracker, frames, schedule, sinks, outputs)


def _run(tracker: VideoTracker, frames: Source, schedule: Schedule, sinks: Sinks, outputs: Outputs) -> None:
    console = Console(stderr=True)
    done, began = 0, time.perf_counter()
    interrupted = False
    try:
        with _progress(console) as progress:
            task = progress.add_task("tracking", total=frames.frames, fps="")
            for frame, result in follow(tracker, frames, schedule):
                sinks.write(frame, result)
                done += 1
                progress.update(task, completed=done, fps=f"{done / (time.perf_counter() - began):.1f} frames/s")
    except KeyboardInterrupt:
        interrupted = True
    seconds = time.perf_counter() - began
    line = f"{done} frames, {len(tracker.object_ids)} objects, {done / seconds if seconds else 0:.2f} frames/s"
    if frames.corrupt:
        line += f", {frames.corrupt} corrupt frames skipped"
    console.print(line + (f"; wrote {outputs}" if str(outputs) else ""), highlight=False, soft_wrap=True)
    if interrupted:
        console.print("masklet: interrupted; what was written is complete up to here", soft_wrap=True)
        raise typer.Exit(INTERRUPTED)


def _progress(console: Console) -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[fps]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True)


def _check_frames_come(schedule: Schedule, frames: Source) -> None:
    """Refuse a prompt whose frame cannot come before any work is done, where the source knows its frames."""
    for index in sorted(schedule):
        if not frames.will_yield(index):
            raise PromptError(f"a prompt is for frame {index}, which does not come: {frames.name} gives {frames.range}")
