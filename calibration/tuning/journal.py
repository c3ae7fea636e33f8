"""What a search has measured, line by line on disk, so that the same command goes on after an interruption."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from masklet.calibration.clips.clips import Clip
from masklet.calibration.tuning.models import Key, Models
from masklet.calibration.tuning.point import Point
from masklet.calibration.tuning.stage_times import ModelTimes
from masklet.calibration.tuning.trial import Outcome
from masklet.runtime.errors import CalibrationError


class _Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line: the request that it belongs to, and one of the others.

    threads: milliseconds of a frame of `point`, by number of threads.
    """

    request: str | None = None
    model: Key | None = None
    times: ModelTimes | None = None
    outcome: Outcome | None = None
    point: Point | None = None
    threads: dict[int, float] | None = None


class Journal:
    """Measurements of one request; those of another request at the same path are dropped.

    Raises CalibrationError where it cannot be written.
    """

    def __init__(self, path: Path, request: str) -> None:
        self._path = path
        self.times: dict[Key, ModelTimes] = {}
        self.outcomes: dict[tuple[Point, bool], Outcome] = {}
        self.threads: dict[Point, dict[int, float]] = {}
        entries = self._whole_lines()
        if not entries or entries[0].request != request:
            self._write(_Entry(request=request), "wb")
            return
        for entry in entries[1:]:
            if entry.model is not None and entry.times is not None:
                self.times[entry.model] = entry.times
            elif entry.outcome is not None:
                self.outcomes[entry.outcome.point, entry.outcome.proved] = entry.outcome
            elif entry.point is not None and entry.threads is not None:
                self.threads[entry.point] = entry.threads

    def keep_times(self, model: Key, times: ModelTimes) -> None:
        """Keep the times of a model's stages."""
        self.times[model] = times
        self._write(_Entry(model=model, times=times))

    def keep(self, outcome: Outcome) -> None:
        """Keep the outcome of a trial."""
        self.outcomes[outcome.point, outcome.proved] = outcome
        self._write(_Entry(outcome=outcome))

    def keep_threads(self, point: Point, threads: dict[int, float]) -> None:
        """Keep the times of a point by number of threads."""
        self.threads[point] = threads
        self._write(_Entry(point=point, threads=threads))

    def _whole_lines(self) -> list[_Entry]:
        """What the lines say, up to one that was cut off, which goes."""
        found: list[_Entry] = []
        lines = self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else []
        for number, line in enumerate(lines):
            try:
                found.append(msgspec.json.decode(line, type=_Entry))
            except msgspec.MsgspecError:
                os.truncate(self._path, sum(map(len, lines[:number])))
                break
        return found

    def _write(self, entry: _Entry, mode: str = "ab") -> None:
        try:
            with self._path.open(mode) as file:
                file.write(msgspec.json.encode(entry) + b"\n")
        except OSError as error:
            raise CalibrationError(f"{self._path}: cannot be written: {error.strerror or error}") from None


def request_key(models: Models, clips: Sequence[Clip], truths: Sequence[Path]) -> str:
    """A hash of what measurements depend on: bundles, threads, clips with their prompts, true masks."""
    digest = hashlib.sha256(repr((models.threads, [str(path) for path in truths])).encode())
    for bundle in models.bundles:
        digest.update(msgspec.json.encode(bundle.manifest))
    for clip in clips:
        prompts = sorted((frame, sorted(objects)) for frame, objects in clip.schedule.items())
        words = (clip.source, sorted(clip.cut.items()), prompts, [c.name for c in clip.concepts], clip.found_with)
        digest.update(repr(words).encode())
    return digest.hexdigest()
