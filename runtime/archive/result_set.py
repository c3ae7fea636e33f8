"""A result set: the folder of a video's results. It is complete, with result.json in it, or not there."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from masklet.runtime.archive.folder_lock import locked

RESULT = "result.json"
SEGMENTS = ".segments"  # folder of the result sets of segments, in that of an archive
_UNFINISHED = ".unfinished"


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


def read_result(out: Path, name: str) -> VideoResult | None:
    """The result of a video; None if there is none."""
    try:
        return msgspec.json.decode((out / name / RESULT).read_bytes(), type=VideoResult)
    except (OSError, msgspec.MsgspecError):
        return None


@contextmanager
def result_folder(out: Path, name: str) -> Iterator[Path]:
    """A folder that becomes the video's result set when the block ends, in the place of an older one.

    If the block raises, nothing is left. What a killed worker leaves, `archive_folder` removes.
    """
    out.mkdir(exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=_UNFINISHED, dir=out))
    try:
        yield unfinished
        unfinished.chmod(0o755)
        if (out / name).exists():
            shutil.rmtree(out / name)
        unfinished.rename(out / name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _sweep(out: Path) -> None:
    """Remove what was not finished; finished segments stay. No worker may be running."""
    for folder in (out, out / SEGMENTS):
        for left in folder.glob(f".*{_UNFINISHED}"):
            shutil.rmtree(left, ignore_errors=True)
    with suppress(OSError):
        (out / SEGMENTS).rmdir()


@contextmanager
def archive_folder(out: Path) -> Iterator[None]:
    """The folder of an archive, for one archive at a time: see `locked`. What was not finished is removed."""
    with locked(out):
        _sweep(out)
        try:
            yield
        finally:
            _sweep(out)
