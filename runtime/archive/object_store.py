"""Result sets in an object store, by fsspec: s3://, gs://, abfs:// and others."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from masklet.runtime.archive.result_set import RESULT, VideoResult, decoded
from masklet.runtime.errors import SinkError

AT_ONCE = 1000  # results that are asked for in one call
_PROBE = ".masklet"


class UploadError(SinkError):
    """Results cannot be copied to an object store now. It may work in a moment, so a video is tried again."""


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """See `ResultStore`. url: what all result sets are under.

    Nothing can be renamed in such a store: a result set is complete when its result.json is there, which is written
    last, and removed first where an older one is replaced. There is no lock either: run one archive at a time.
    """

    url: str

    def __str__(self) -> str:
        return self.url.rstrip("/")

    def results(self, names: Iterable[str]) -> dict[str, VideoResult]:
        """The results that are there, by name; the store is asked for many at once."""
        files, root = self._open()
        asked, found = list(names), {}
        for first in range(0, len(asked), AT_ONCE):
            paths = {f"{root}/{name}/{RESULT}": name for name in asked[first : first + AT_ONCE]}
            with self._told("be read", SinkError):
                data = files.cat(list(paths), on_error="omit")
            found.update({paths[path]: decoded(content) for path, content in data.items()})
        return {name: result for name, result in found.items() if result is not None}

    @contextmanager
    def result_set(self, name: str) -> Iterator[Path]:
        """A folder on this machine that is copied to the store, result.json last."""
        with tempfile.TemporaryDirectory(prefix="masklet-") as text:
            yield Path(text)
            files, root = self._open()
            with self._told(f"take {name}", UploadError):
                if files.exists(f"{root}/{name}"):
                    self._remove(files, f"{root}/{name}")
                for path in sorted(Path(text).iterdir(), key=lambda path: path.name == RESULT):
                    files.put_file(str(path), f"{root}/{name}/{path.name}")

    def copy_here(self, path: str, scratch: Path) -> Path:
        """A copy of a file."""
        files, root = self._open()
        here = scratch / path.replace("/", "-")
        with self._told(f"give {path}", UploadError):
            files.get_file(f"{root}/{path}", str(here))
        return here

    def remove(self, pattern: str) -> None:
        """Remove result sets."""
        files, root = self._open()
        with self._told("remove result sets", UploadError):
            for folder in files.glob(f"{root}/{pattern}"):
                self._remove(files, folder)

    def write(self, name: str, data: bytes) -> None:
        """Write a file beside the result sets."""
        files, root = self._open()
        with self._told(f"take {name}", SinkError):
            files.pipe_file(f"{root}/{name}", data)

    def within(self, name: str) -> "ObjectStore":
        """Another one under this one."""
        return ObjectStore(f"{self}/{name}")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Try whether the store can be written, before anything is run."""
        files, root = self._open()
        with self._told("be written", SinkError):
            files.pipe_file(f"{root}/{_PROBE}", b"")
            files.rm_file(f"{root}/{_PROBE}")
        yield

    def _open(self) -> tuple[Any, str]:
        with self._told("be opened", SinkError):
            import fsspec

            files, root = fsspec.core.url_to_fs(self.url)
        return files, str(root).rstrip("/")

    def _remove(self, files: Any, folder: str) -> None:
        """Remove a result set, its result.json first."""
        if files.exists(f"{folder}/{RESULT}"):
            files.rm_file(f"{folder}/{RESULT}")
        files.rm(folder, recursive=True)

    @contextmanager
    def _told(self, what: str, kind: type[SinkError]) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # every store raises its own
            said = str(error).strip().splitlines() or [type(error).__name__]
            raise kind(f"{self}: cannot {what}: {said[0]}") from None
