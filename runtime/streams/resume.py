"""Resumes a stream after a restart: the frame of the source and the position in the outputs to continue from."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from masklet.runtime.sinks.json_lines import WrittenMasks, written_masks
from masklet.runtime.sinks.kind import OnResume
from masklet.runtime.sinks.outputs import Outputs
from masklet.runtime.sinks.rotation import finished_parts
from masklet.runtime.sources.source import Source
from masklet.runtime.streams.state import StreamState


def cut_after(state: StreamState, source: Source, cut: Mapping[str, Any]) -> dict[str, Any] | None:
    """The cut of a file's frames not processed yet; None if none is left."""
    wanted = source.cut.indices((source.frames or 0) * source.cut.stride + source.cut.start)
    last = state.frame_index
    left = [i for i in wanted if (i < last if source.cut.reverse else i > last)]
    return {**cut, "start": min(left), "end": max(left) + 1} if left else None


def go_on_with(outputs: Outputs, state: StreamState, *, finite: bool) -> tuple[Outputs, WrittenMasks]:
    """Outputs that continue where they ended, and how far they were written.

    finite: the source is a file: frames after the state are read again, and their lines are written again. For a
    camera, lines after the state stay, and later frames are numbered after them. An overlay video cannot be continued;
    the next part gets a name of its own.
    """
    there = WrittenMasks()
    for target in outputs.chosen(OnResume.APPEND).values():
        path = Path(target)
        if finite:
            _reopen(path, state.frame_index)
        if path.is_file():
            there = written_masks(path, state.frame_index if finite else None)
            outputs = replace(outputs, keep=there.size)
        if there.frame is None:
            there = _last_finished(path)
    part = max(state.frame_index, there.frame or 0) + 1
    parts = {name: next_part(Path(target), part) for name, target in outputs.chosen(OnResume.NEXT_PART).items()}
    return replace(outputs, targets={**outputs.targets, **parts}), there


def _reopen(path: Path, frame: int) -> None:
    """Make the finished file that holds a frame the current one again: what was written after it is written again."""
    parts = list(finished_parts(path).values())
    if not parts or (path.is_file() and written_masks(path, frame).frame == frame):
        return
    holds = [n for n, part in enumerate(parts) if written_masks(part, frame).frame == frame]
    if holds:
        for later in parts[holds[-1] + 1 :]:
            later.unlink()
        parts[holds[-1]].replace(path)


def _last_finished(path: Path) -> WrittenMasks:
    """The last frame of the newest finished file, for a current file that has no frame yet."""
    parts = list(finished_parts(path).values())
    return replace(written_masks(parts[-1], None), size=0) if parts else WrittenMasks()


def next_part(path: Path, frame: int) -> Path:
    """The name of a file that goes on from a frame, beside one that is there; the same name where there is none."""
    return path.with_stem(f"{path.stem}.from-{frame}") if path.exists() else path
