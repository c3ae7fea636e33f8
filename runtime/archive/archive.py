"""The driver: gives videos to workers, replaces workers that died, tries again what failed."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from masklet.runtime.archive.cluster import Resources
from masklet.runtime.archive.plan import ArchivePlan
from masklet.runtime.archive.result_set import VideoResult
from masklet.runtime.archive.segments import Segment
from masklet.runtime.archive.video import ArchiveVideo
from masklet.runtime.archive.worker import Outcome, Worker
from masklet.runtime.errors import SessionError, SinkError

POLL_S = 1.0
OPENINGS = 3  # workers in a row that die as they open, until the archive ends


class Watcher(Protocol):
    """Is told what happens."""

    def began(self, worker: int, pid: int) -> None: ...

    def finished(self, result: VideoResult) -> None: ...

    def split(self, video: ArchiveVideo, segments: int) -> None: ...

    def ran(self, video: ArchiveVideo, segment: VideoResult) -> None: ...

    def retried(self, video: ArchiveVideo, error: str) -> None: ...

    def failed(self, video: ArchiveVideo, error: str) -> None: ...

    def waited(self) -> None: ...


@dataclass(slots=True)
class _Job:
    """A video that is to be run, or a segment of one.

    whole:   of a segment: its video, which is run again when its segments are finished. left: how many are not.
    tried:   numbers of the workers that failed at it.
    failed:  whether it was given up.
    """

    video: ArchiveVideo
    segment: Segment | None = None
    whole: "_Job | None" = None
    left: int = 0
    tried: set[int] = field(default_factory=set)
    failures: int = 0
    failed: bool = False


@dataclass(slots=True)
class _Seat:
    """A worker: its number, its process, and what it does now; no job while it opens."""

    number: int
    actor: Any
    job: _Job | None = None


class Archive:
    """Runs videos on workers of Ray, each worker one at a time.

    retries: how often a video is tried again, on another worker where there is one.
    Ray's own restarts and retries are off: only the driver knows which videos were finished.
    """

    def __init__(self, ray: Any, plan: ArchivePlan, wanted: Resources, retries: int, watcher: Watcher) -> None:
        self._ray, self._plan, self._wanted, self._retries, self._watcher = ray, plan, wanted, retries, watcher
        self._waiting: deque[_Job] = deque()
        self._busy: dict[Any, _Seat] = {}  # by the reference of the call that runs
        self._free: list[_Seat] = []
        self._count = self._deaths = 0

    def run(self, videos: Sequence[ArchiveVideo]) -> None:
        """Run videos until each is finished or has failed for good.

        Raises SessionError if workers cannot be opened, SinkError if results cannot be written.
        """
        self._waiting.extend(_Job(video) for video in videos)
        try:
            for _ in range(self._wanted.workers):
                self._hire()
            while self._waiting or any(seat.job for seat in self._busy.values()):
                self._assign()
                done, _ = self._ray.wait(list(self._busy), num_returns=1, timeout=POLL_S)
                for reference in done:
                    self._settle(reference, self._busy.pop(reference))
                self._watcher.waited()
        finally:
            for seat in (*self._free, *self._busy.values()):
                self._ray.kill(seat.actor)

    def _hire(self) -> None:
        """Start a worker, which opens its sessions."""
        actor = self._ray.remote(num_cpus=self._wanted.cpus, num_gpus=self._wanted.gpus, max_restarts=0)(Worker)
        seat = _Seat(self._count, actor.remote(self._plan))
        self._count += 1
        self._busy[seat.actor.open.remote()] = seat

    def _assign(self) -> None:
        """Give the free workers videos: those that they have not failed at, or any if all workers are free."""
        for seat in list(self._free):
            job = next((job for job in self._waiting if seat.number not in job.tried), None)
            if job is not None:
                self._give(seat, job)
        if self._waiting and not self._busy:
            self._give(self._free[0], self._waiting[0])

    def _give(self, seat: _Seat, job: _Job) -> None:
        self._waiting.remove(job)
        self._free.remove(seat)
        seat.job = job
        self._busy[seat.actor.run.remote(job.video, job.segment)] = seat

    def _settle(self, reference: Any, seat: _Seat) -> None:
        try:
            got = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._bury(seat, str(error).strip().splitlines()[0])
            return
        if seat.job is None:
            self._opened(seat, *got)
        else:
            self._end(seat, seat.job, got)
        seat.job = None
        self._free.append(seat)

    def _opened(self, seat: _Seat, pid: int, error: str | None) -> None:
        if error is not None:
            raise SessionError(f"a worker cannot start: {error}")
        self._deaths = 0
        self._watcher.began(seat.number, pid)

    def _end(self, seat: _Seat, job: _Job, outcome: Outcome) -> None:
        if outcome.segments:
            self._split(job, outcome.segments)
        elif outcome.result is not None:
            self._finish(job, outcome.result)
        elif outcome.fatal:
            raise SinkError(f"{outcome.error}; what is finished stays, run the same command again")
        else:
            self._again(job, seat.number, outcome.error or "no reason")

    def _split(self, job: _Job, segments: Sequence[Segment]) -> None:
        """Put the segments of a video before the other videos."""
        job.left = len(segments)
        self._waiting.extendleft(_Job(job.video, segment, job) for segment in reversed(segments))
        self._watcher.split(job.video, len(segments))

    def _finish(self, job: _Job, result: VideoResult) -> None:
        if job.whole is None:
            self._watcher.finished(result)
            return
        self._watcher.ran(job.video, result)
        job.whole.left -= 1
        if not job.whole.left:
            self._waiting.appendleft(job.whole)

    def _bury(self, seat: _Seat, why: str) -> None:
        """A worker died: another takes its place, and its video."""
        if seat.job is not None:
            self._again(seat.job, seat.number, f"its worker died: {why}")
        else:
            self._deaths += 1
            if self._deaths >= OPENINGS:
                raise SessionError(f"workers die as they open the bundle: {why}")
        self._hire()

    def _again(self, job: _Job, worker: int, error: str) -> None:
        job.tried.add(worker)
        job.failures += 1
        whole = job.whole or job
        if whole.failed:
            return
        if job.failures > self._retries:
            self._give_up(whole, error)
        else:
            self._waiting.append(job)
            self._watcher.retried(job.video, error)

    def _give_up(self, job: _Job, error: str) -> None:
        """Report a video, and leave out its other segments."""
        job.failed = True
        self._waiting = deque(one for one in self._waiting if one.whole is not job)
        self._watcher.failed(job.video, error)
