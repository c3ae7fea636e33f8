"""Resumes a stream after a restart: the frame of the source and the position in the outputs to continue from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from masklet.runtime.errors import SourceError
from masklet.runtime.sinks.kind import OnResume
from masklet.runtime.sinks.outputs import Outputs
from masklet.runtime.sources.source import Source
from masklet.runtime.streams.state import StreamState

_LINE = re.compile(rb'\{"frame": (\d+), "time_s": ([\d.e+-]+)')


@dataclass(frozen=True, slots=True)
class Written:
    """How far masks were written: bytes of complete lines, and the last frame in them; None if there is none."""

    size: int = 0
    frame: int | None = None
    time_s: float = 0.0


def cut_after(state: StreamState, path: Path, source: Source, cut: Mapping[str, Any]) -> dict[str, Any]:
    """The cut of a file's frames not processed yet. path: of the state. Raises SourceError if none is left."""
    wanted = source.cut.indices((source.frames or 0) * source.cut.stride + source.cut.start)
    last = state.frame_index
    left = [i for i in wanted if (i < last if source.cut.reverse else i > last)]
    if not left:
        raise SourceError(f"{path}: {state.source} was run to its end; move the file away to run it again")
    return {**cut, "start": min(left), "end": max(left) + 1}


def go_on_with(outputs: Outputs, state: StreamState, *, finite: bool) -> tuple[Outputs, Written]:
    """Outputs that continue where they ended, and how far they were written.

    finite: the source is a file: frames after the state are read again, and their lines are written again. For a
    camera, lines after the state stay, and later frames are numbered after them. An overlay video cannot be continued;
    the next part gets a name of its own.
    """
    there = Written()
    for target in outputs.chosen(OnResume.APPEND).values():
        if Path(target).is_file():
            there = written(Path(target), state.frame_index if finite else None)
            outputs = replace(outputs, keep=there.size)
    part = max(state.frame_index, there.frame or 0) + 1
    parts = {name: next_part(Path(target), part) for name, target in outputs.chosen(OnResume.NEXT_PART).items()}
    return replace(outputs, targets={**outputs.targets, **parts}), there


def next_part(path: Path, frame: int) -> Path:
    """The name of a file that goes on from a frame, beside one that is there; the same name where there is none."""
    return path.with_stem(f"{path.stem}.from-{frame}") if path.exists() else path


def written(path: Path, up_to: int | None) -> Written:
    """Find how far a file of masks was written. up_to: last frame that counts; None for all."""
    found = Written()
    with path.open("rb") as file:
        for line in file:
            match = _LINE.match(line)
            if match is None or not line.endswith(b"\n"):
                break
            found = Written(found.size + len(line), int(match[1]), float(match[2]))
            if found.frame == up_to:
                break
    return found
