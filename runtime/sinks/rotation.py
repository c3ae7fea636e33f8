"""Rotation: an output that runs for weeks begins a new file after a time or a size.

The file that is being written keeps its name; finished ones are numbered beside it (masks.0001.jsonl, ...), and the
oldest are deleted where only some are to stay.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from masklet.runtime.closing import Closing
from masklet.runtime.errors import SinkError
from masklet.runtime.option import Option
from typing_extensions import Self

if TYPE_CHECKING:
    from masklet.runtime.results import Frame, FrameResult
    from masklet.runtime.sinks.sink import Sink

ROTATE = Option(
    "rotate",
    "Begin a new file of --masks and --overlay after this time or size; finished files are numbered.",
    metavar="1h|500MB",
)
KEEP_PARTS = Option("keep_parts", "How many finished files --rotate keeps; all by default.", int, metavar="N")

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {"MB": 10**6, "GB": 10**9}


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a new file begins, and how many finished ones stay; None for no limit of that kind.

    Raises SinkError for a number of parts below 1.
    """

    seconds: float | None = None
    size: int | None = None
    keep_parts: int | None = None

    def __post_init__(self) -> None:
        if self.keep_parts is not None and self.keep_parts < 1:
            raise SinkError(f"--keep-parts {self.keep_parts}: expected a whole number from 1")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self | None:
        """The rotation that the settings ask for; None for none. Raises SinkError for a limit that cannot be read."""
        text, parts = settings.get(ROTATE.name), settings.get(KEEP_PARTS.name)
        if text is None:
            if parts is not None:
                raise SinkError("--keep-parts needs --rotate")
            return None
        match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|m|h|d|MB|GB)", text)
        if match is None or float(match[1]) <= 0:
            raise SinkError(f"--rotate {text}: expected a time such as 30m, 1h or 7d, or a size such as 500MB or 2GB")
        number, unit = float(match[1]), match[2]
        if unit in SECONDS:
            return cls(number * SECONDS[unit], keep_parts=parts)
        return cls(size=round(number * BYTES[unit]), keep_parts=parts)


class Rotated(Closing):
    """A sink that begins a new file when its rotation says so, between two frames.

    open:  opens the sink for the current file; with bytes to keep, or None to replace the file.
    clock: monotonic seconds.
    Raises SinkError if a file cannot be renamed.
    """

    def __init__(
        self,
        path: Path,
        rotation: Rotation,
        open_file: "Callable[[int | None], Sink]",
        keep: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._rotation, self._open, self._clock = path, rotation, open_file, clock
        self._sink = open_file(keep)
        self._begun_s, self._frames = clock(), 0

    def write(self, frame: "Frame", result: "FrameResult") -> None:
        if self._frames and self._is_full():
            self._begin_another()
        self._sink.write(frame, result)
        self._frames += 1

    def close(self) -> None:
        self._sink.close()

    def _is_full(self) -> bool:
        seconds, size = self._rotation.seconds, self._rotation.size
        if seconds is not None and self._clock() - self._begun_s >= seconds:
            return True
        return size is not None and self._path.stat().st_size >= size

    def _begin_another(self) -> None:
        self._sink.close()
        number = 1 + max(finished_parts(self._path), default=0)
        try:
            self._path.rename(self._path.with_stem(f"{self._path.stem}.{number:04}"))
            if self._rotation.keep_parts is not None:
                for old in list(finished_parts(self._path).values())[: -self._rotation.keep_parts]:
                    old.unlink(missing_ok=True)
        except OSError as error:
            raise SinkError(f"{self._path}: cannot be rotated: {error.strerror}") from None
        self._sink = self._open(None)
        self._begun_s, self._frames = self._clock(), 0


def finished_parts(path: Path) -> dict[int, Path]:
    """The finished files of an output by number, the oldest first."""
    name = re.compile(re.escape(path.stem) + r"\.(\d{4,})" + re.escape(path.suffix))
    found = {int(match[1]): one for one in path.parent.iterdir() if (match := name.fullmatch(one.name))}
    return dict(sorted(found.items()))
