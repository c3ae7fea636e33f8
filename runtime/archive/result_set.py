"""A result set: the results of a video, complete, with result.json in it, or not there; where such sets are kept."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import msgspec

RESULT = "result.json"
SEGMENTS = ".segments"  # where the result sets of segments are kept, within those of an archive


class VideoResult(msgspec.Struct, frozen=True):
    """What result.json holds.

    digest:  `ArchivePlan.digest`: results of the same digest are not made again.
    frames:  that were run. corrupt: that could not be decoded. objects: different ids.
    seconds: that it took on a worker, without fetching the video.
    bytes:   of the result set.
    """

    name: str
    source: str
    digest: str
    frames: int
    corrupt: int
    objects: int
    seconds: float
    bytes: int


class ResultStore(Protocol):
    """Where result sets are kept: `ResultFolder`, `ObjectStore`. Workers get a copy; `str` is what a user calls it."""

    def results(self, names: Iterable[str]) -> dict[str, VideoResult]:
        """The results that are there, by name."""

    def result_set(self, name: str) -> AbstractContextManager[Path]:
        """A folder on this machine that becomes a result set when the block ends, in the place of an older one.

        If the block raises, nothing is left.
        """

    def copy_here(self, path: str, scratch: Path) -> Path:
        """A file, 'NAME/FILE', on this machine: copied into `scratch` if it is not there already."""

    def remove(self, pattern: str) -> None:
        """Remove the result sets whose names match, as `glob` has it."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file beside the result sets. Raises SinkError if it cannot be."""

    def within(self, name: str) -> "ResultStore":
        """Another one within this one."""

    def held(self) -> AbstractContextManager[None]:
        """Use it for an archive while the block runs. Raises SinkError if it cannot be written."""


def decoded(data: bytes) -> VideoResult | None:
    """What a result.json holds; None if it is none."""
    try:
        return msgspec.json.decode(data, type=VideoResult)
    except msgspec.MsgspecError:
        return None
