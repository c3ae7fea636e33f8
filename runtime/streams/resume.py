"""A stream that goes on after a restart: from which frame of its source, and after what of its outputs."""

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
    """How far masks were written: bytes of whole lines, and the last frame in them, None where there is none."""

    size: int = 0
    frame: int | None = None
    time_s: float = 0.0


def cut_after(state: StreamState, path: Path, source: Source, cut: Mapping[str, Any]) -> dict[str, Any]:
    """The cut of a file's frames that were not run yet. path: the state's. Raises SourceError where none is left."""
    wanted = source.cut.indices((source.frames or 0) * source.cut.stride + source.cut.start)
    last = state.frame_index
    left = [i for i in wanted if (i < last if source.cut.reverse else i > last)]
    if not left:
        raise SourceError(f"{path}: {state.source} was run to its end; move the file away to run it again")
    return {**cut, "start": min(left), "end": max(left) + 1}


def go_on_with(outputs: Outputs, state: StreamState, *, finite: bool) -> tuple[Outputs, Written]:
    """Outputs that go on where they ended, and what there is of them.

    finite: the frames after the state come again, as a file's do, and so do their lines. A camera's do not: their
    lines stay, and later frames are numbered after them. A video cannot be gone on with; the next part has a name of
    its own.
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
    """Look through a file of masks. up_to: the last frame that counts; None for all."""
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
