"""What a user sees of an archive while it runs, and its summary table."""

import csv
import io
import time
from collections.abc import Callable, Sequence

from masklet.runtime.archive.result_set import ResultStore, VideoResult
from masklet.runtime.archive.video import ArchiveVideo

SUMMARY = "summary.csv"
EVERY_S = 30.0  # a line, where the output is no terminal that lines are replaced on
COLUMNS = ("name", "source", "status", "frames", "corrupt", "objects", "seconds", "bytes", "error")


class Progress:
    """Counts, and tells a line at most every EVERY_S seconds, of which `show` replaces the last.

    total: videos to run. skipped: that were finished before.
    """

    def __init__(
        self,
        total: int,
        skipped: int,
        tell: Callable[[str], None],
        show: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failures: dict[str, str] = {}
        self.done = self.frames = 0
        self._split: set[str] = set()
        self._segments = self._ran = 0
        self._total, self._skipped, self._tell, self._show, self._clock = total, skipped, tell, show, clock
        self._begun = self._told = clock()

    def began(self, worker: int, pid: int) -> None:
        self._tell(f"worker {worker + 1}: process {pid}")

    def finished(self, result: VideoResult) -> None:
        self.done += 1
        self.frames += 0 if result.name in self._split else result.frames
        self.waited()

    def split(self, video: ArchiveVideo, segments: int) -> None:
        self._split.add(video.name)
        self._segments += segments

    def ran(self, video: ArchiveVideo, segment: VideoResult) -> None:
        self._ran += 1
        self.frames += segment.frames
        self.waited()

    def retried(self, video: ArchiveVideo, error: str) -> None:
        self._tell(f"{video.source}: {error}; tried again")

    def failed(self, video: ArchiveVideo, error: str) -> None:
        self.failures[video.name] = error
        self._tell(f"{video.source}: failed: {error}")

    def waited(self) -> None:
        if self._show is not None:
            self._show(self.line)
        elif self._clock() - self._told >= EVERY_S:
            self._told = self._clock()
            self._tell(self.line)

    @property
    def line(self) -> str:
        """Videos, frames per second, the time that is left, failures."""
        elapsed, ended = self._clock() - self._begun, self.done + len(self.failures) + self._ran
        total = self._total + self._segments
        left = "" if not ended else f", {_duration((total - ended) * elapsed / ended)} left"
        segments = f", {self._ran} of {self._segments} segments" if self._segments else ""
        skipped = f", {self._skipped} were finished before" if self._skipped else ""
        failed = f", {len(self.failures)} failed" if self.failures else ""
        rate = self.frames / elapsed if elapsed else 0.0
        return f"{self.done} of {self._total} videos{segments}, {rate:.1f} frames/s{left}{failed}{skipped}"


def write_summary(out: ResultStore, videos: Sequence[ArchiveVideo], failures: dict[str, str]) -> None:
    """Write summary.csv: a row per video, finished, failed or missing. Raises SinkError if it cannot be written."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    results = out.results(video.name for video in videos)
    for video in videos:
        row: dict[str, object] = {"name": video.name, "source": video.source, "status": "missing"}
        if video.name in failures:
            row |= {"status": "failed", "error": failures[video.name]}
        elif video.name in results:
            row |= {"status": "finished", **{name: getattr(results[video.name], name) for name in COLUMNS[3:8]}}
        table.writerow(row)
    out.write(SUMMARY, text.getvalue().encode())


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
