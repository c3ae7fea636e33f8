"""Result sets in a folder that all workers see."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from masklet.runtime.archive.folder_lock import locked
from masklet.runtime.archive.result_set import RESULT, SEGMENTS, VideoResult, decoded
from masklet.runtime.sinks.output_file import write_whole

_UNFINISHED = ".unfinished"


@dataclass(frozen=True, slots=True)
class ResultFolder:
    """See `ResultStore`. root: the folder; its parent must be there."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    def results(self, names: Iterable[str]) -> dict[str, VideoResult]:
        """The results that are there, by name."""
        found = {}
        for name in names:
            with suppress(OSError):
                found[name] = decoded((self.root / name / RESULT).read_bytes())
        return {name: result for name, result in found.items() if result is not None}

    @contextmanager
    def result_set(self, name: str) -> Iterator[Path]:
        """A folder that becomes the result set. What a killed worker leaves, `held` removes."""
        self.root.mkdir(exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=_UNFINISHED, dir=self.root))
        try:
            yield unfinished
            unfinished.chmod(0o755)
            if (self.root / name).exists():
                shutil.rmtree(self.root / name)
            unfinished.rename(self.root / name)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def copy_here(self, path: str, scratch: Path) -> Path:
        """The file itself."""
        return self.root / path

    def remove(self, pattern: str) -> None:
        """Remove result sets."""
        for left in self.root.glob(pattern):
            shutil.rmtree(left, ignore_errors=True)

    def write(self, name: str, data: bytes) -> None:
        """Write a file beside the result sets, completely or not at all."""
        write_whole(self.root / name, data)

    def within(self, name: str) -> "ResultFolder":
        """A folder in this one."""
        return ResultFolder(self.root / name)

    @contextmanager
    def held(self) -> Iterator[None]:
        """For one archive at a time: see `locked`. What was not finished is removed."""
        with locked(self.root):
            self._sweep()
            try:
                yield
            finally:
                self._sweep()

    def _sweep(self) -> None:
        """Remove what was not finished; finished segments stay. No worker may be running."""
        for place in (self, self.within(SEGMENTS)):
            place.remove(f".*{_UNFINISHED}")
        with suppress(OSError):
            (self.root / SEGMENTS).rmdir()
