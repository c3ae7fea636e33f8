"""A result set: the folder of a video's results. It is complete, with result.json in it, or not there."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from masklet.runtime.errors import SinkError

RESULT = "result.json"
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

    If the block raises, nothing is left. What a killed worker leaves is removed by `sweep`.
    """
    unfinished = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=_UNFINISHED, dir=out))
    try:
        yield unfinished
        unfinished.chmod(0o755)
        if (out / name).exists():
            shutil.rmtree(out / name)
        unfinished.rename(out / name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def sweep(out: Path) -> None:
    """Remove what was not finished. No worker may be running."""
    for left in out.glob(f".*{_UNFINISHED}"):
        shutil.rmtree(left, ignore_errors=True)


def prepare_folder(out: Path) -> None:
    """Make the folder of an archive. Raises SinkError if it cannot be written."""
    try:
        out.mkdir(exist_ok=True)
        sweep(out)
        with tempfile.NamedTemporaryFile(dir=out, prefix=".", suffix=_UNFINISHED):
            pass
    except OSError as error:
        raise SinkError(f"{out}: cannot be written: {error.strerror}; give a folder, whose parent exists") from None
