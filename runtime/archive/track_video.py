"""Runs one video: exactly what `masklet run` computes, into a result set."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from masklet.runtime.archive.parquet_masks import write_parquet
from masklet.runtime.archive.plan import ArchivePlan
from masklet.runtime.archive.result_set import RESULT, VideoResult
from masklet.runtime.archive.video import ArchiveVideo, is_address
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.errors import SinkError, SourceError
from masklet.runtime.sinks.outputs import Outputs
from masklet.runtime.sources.opening import open_source
from masklet.runtime.sources.source import FeedOptions, Source
from masklet.runtime.streams.follow import follow

MASKS = "masks.jsonl"


@dataclass(frozen=True, slots=True)
class Ran:
    """What was run of a video, as `VideoResult` has it."""

    frames: int
    corrupt: int
    objects: int
    seconds: float


def track_video(plan: ArchivePlan, sessions: Sessions, video: ArchiveVideo) -> VideoResult:
    """Track what is asked for and write the result set, which is complete or not there.

    Raises SourceError if the video cannot be fetched or read, SinkError if the results cannot be written, and other
    MaskletErrors if the request does not fit.
    """
    with fetched(video.source) as path:
        return write_result_set(plan, video, lambda folder: _run(plan, sessions, video, path, folder))


def write_result_set(plan: ArchivePlan, video: ArchiveVideo, write: Callable[[Path], Ran]) -> VideoResult:
    """Write a result set, complete or not at all. write: writes the masks, as JSON lines, into its folder.

    Raises SinkError if it cannot be written, and what `write` raises.
    """
    try:
        with plan.out.result_set(video.name) as folder:
            ran = write(folder)
            if plan.format == "parquet":
                write_parquet(folder / MASKS, folder / "masks.parquet")
                (folder / MASKS).unlink()
            size, seconds = sum(file.stat().st_size for file in folder.iterdir()), round(ran.seconds, 3)
            digest = plan.digest(video)
            result = VideoResult(video.name, video.source, digest, ran.frames, ran.corrupt, ran.objects, seconds, size)
            (folder / RESULT).write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    except OSError as error:
        raise SinkError(f"{plan.out}/{video.name}: cannot be written: {error.strerror or error}") from None
    return result


def _run(plan: ArchivePlan, sessions: Sessions, video: ArchiveVideo, path: str, folder: Path) -> Ran:
    begun, frames, ids = time.perf_counter(), 0, set[int]()
    targets = {"masks": folder / MASKS} | ({"overlay": folder / "overlay.mp4"} if plan.overlay else {})
    with open_source(path, **plan.cut, feed=FeedOptions(threads=plan.backend.threads)) as source:
        check_end(source, video)
        video.request.check_source(source)
        tracker = video.request.tracker(sessions, plan.tracking, plan.memory)
        with Outputs(targets).open(source.fps, video.request.schedule) as sinks:
            for frame, result in follow(tracker, source, video.request.schedule):
                sinks.write(frame, result)
                ids.update(result.object_ids.tolist())
                frames += 1
        return Ran(frames, source.corrupt, len(ids), time.perf_counter() - begun)


def check_end(source: Source, video: ArchiveVideo) -> None:
    """Raise SourceError for a source without an end."""
    if source.frames is None:
        raise SourceError(f"{video.source}: has no end; an archive takes files and folders of images")


@contextmanager
def fetched(source: str) -> Iterator[str]:
    """The path of a source on this machine; what a URL names is copied here while the block runs.

    Raises SourceError if it cannot be.
    """
    if not is_address(source):
        yield source
        return
    import fsspec

    with tempfile.TemporaryDirectory(prefix="masklet-") as folder:
        path = str(Path(folder) / (Path(source).name or "video"))
        try:
            files, remote = fsspec.core.url_to_fs(source)
            files.get_file(remote, path)
        except Exception as error:  # every store raises its own
            said = str(error).strip().splitlines() or [type(error).__name__]
            raise SourceError(f"{source}: cannot be fetched: {said[0]}") from None
        yield path
