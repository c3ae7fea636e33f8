"""Which worker gets which video, with workers that die and fail as they are told, and no process."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from masklet.runtime.archive.archive import OPENINGS, Archive
from masklet.runtime.archive.cluster import Resources
from masklet.runtime.archive.result_set import VideoResult
from masklet.runtime.archive.segments import Segment
from masklet.runtime.archive.video import ArchiveVideo
from masklet.runtime.archive.worker import Outcome
from masklet.runtime.errors import SessionError, SinkError
from masklet.runtime.startup.tracking_request import TrackingRequest


class DiedError(Exception):
    """What Ray raises for a worker that is gone."""


@dataclass
class ScriptedRay:
    """Runs calls at once.

    run: what a worker, by number, does with a video, or a segment of one; opens: what opening returns.
    """

    run: Callable[[int, str], Outcome]
    opens: Callable[[int], tuple[int, str | None]] = lambda number: (number, None)
    started: int = 0
    ended: int = 0
    exceptions: Any = field(default_factory=lambda: SimpleNamespace(RayError=DiedError))

    def remote(self, **options: Any) -> Any:
        return lambda worker: SimpleNamespace(remote=self._start)

    def _start(self, plan: Any) -> Any:
        number, self.started = self.started, self.started + 1
        return SimpleNamespace(
            open=SimpleNamespace(remote=lambda: _Call(lambda: self.opens(number))),
            run=SimpleNamespace(remote=lambda video, part: _Call(lambda: self.run(number, _name(video, part)))),
        )

    def wait(self, calls: list[Any], **options: Any) -> tuple[list[Any], list[Any]]:
        return calls[:1], calls[1:]

    def get(self, call: Any) -> Any:
        return call.does()

    def kill(self, actor: Any) -> None:
        self.ended += 1


def _name(video: ArchiveVideo, part: Segment | None) -> str:
    return video.name if part is None else part.name_in(video.name)


class _Call:
    def __init__(self, does: Callable[[], Any]) -> None:
        self.does = does


@dataclass
class Seen:
    results: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    split_in: dict[str, int] = field(default_factory=dict)
    ran_of: Counter[str] = field(default_factory=Counter)

    def began(self, worker: int, pid: int) -> None: ...

    def finished(self, result: VideoResult) -> None:
        self.results.append(result.name)

    def split(self, video: ArchiveVideo, segments: int) -> None:
        self.split_in[video.name] = segments

    def ran(self, video: ArchiveVideo, segment: VideoResult) -> None:
        self.ran_of[video.name] += 1

    def retried(self, video: ArchiveVideo, error: str) -> None: ...

    def failed(self, video: ArchiveVideo, error: str) -> None:
        self.failures[video.name] = error

    def waited(self) -> None: ...


def run(ray: ScriptedRay, videos: int = 6, workers: int = 2, retries: int = 2) -> Seen:
    seen, plan = Seen(), SimpleNamespace()
    named = [ArchiveVideo(f"/{n}.mp4", TrackingRequest({}), str(n)) for n in range(videos)]
    Archive(ray, plan, Resources(workers), retries, seen).run(named)  # type: ignore[arg-type]
    return seen


def done(name: str) -> Outcome:
    return Outcome(VideoResult(name, "", "", 1, 0, 1, 0.1, 1))


def test_a_worker_that_dies_is_replaced() -> None:
    """Five die in the middle of a video; every video is finished once, and every worker is ended."""
    deaths = Counter[str]()

    def dies(worker: int, name: str) -> Outcome:
        if worker < 5:
            deaths[name] += 1
            raise DiedError("The actor died")
        return done(name)

    ray = ScriptedRay(dies)
    assert sorted(run(ray, retries=5).results) == list("012345")
    assert deaths.total() == 5
    assert ray.started == 7
    assert ray.ended == 2  # those that were left


def test_a_failure_is_tried_on_the_other_worker() -> None:
    tried: list[tuple[int, str]] = []

    def fails(worker: int, name: str) -> Outcome:
        tried.append((worker, name))
        return Outcome(error="broken") if name == "3" else done(name)

    seen = run(ScriptedRay(fails), retries=1)
    assert sorted(seen.results) == list("01245")
    assert seen.failures == {"3": "broken"}
    assert {worker for worker, name in tried if name == "3"} == {0, 1}


def test_one_worker_tries_again_itself() -> None:
    tries = Counter[str]()

    def fails_once(worker: int, name: str) -> Outcome:
        tries[name] += 1
        return done(name) if tries[name] > 1 else Outcome(error="broken")

    assert sorted(run(ScriptedRay(fails_once), videos=2, workers=1).results) == ["0", "1"]


def test_segments_come_before_their_video() -> None:
    """A worker dies in the middle of one; only that one is run again, and the video is put together at the end."""
    parts = tuple(Segment(n, n, n, n + 1, 1) for n in range(4))
    order: list[str] = []

    def runs(worker: int, name: str) -> Outcome:
        order.append(name)
        if name == "0" and order.count("0") == 1:
            return Outcome(segments=parts)
        if name == "0.00002" and worker < 2:
            raise DiedError("The actor died")
        return done(name)

    seen = run(ScriptedRay(runs), videos=2, retries=2)
    assert sorted(seen.results) == ["0", "1"]
    assert (seen.split_in, seen.ran_of) == ({"0": 4}, {"0": 4})
    assert [order.count(part.name_in("0")) for part in parts] == [1, 1, order.count("0.00002"), 1]
    assert order.count("0.00002") > 1
    assert order.index("1") < order.index("0", 1)
    assert order.count("0") == 2


@pytest.mark.parametrize("retries", [0, 1])
def test_a_segment_that_fails(retries: int) -> None:
    """The video is reported once, and neither begun segments nor the others are tried after that."""
    parts = tuple(Segment(n, n, n, n + 1, 1) for n in range(9))
    order: list[str] = []

    def fails(worker: int, name: str) -> Outcome:
        order.append(name)
        return Outcome(segments=parts) if name == "0" else Outcome(error="broken") if "." in name else done(name)

    seen = run(ScriptedRay(fails), videos=2, retries=retries)
    assert seen.failures == {"0": "broken"}
    assert seen.results == ["1"]
    tries = Counter(name for name in order if "." in name)
    assert max(tries.values()) == retries + 1
    assert sum(count == retries + 1 for count in tries.values()) <= 2  # those that two workers had begun


def test_what_ends_an_archive() -> None:
    with pytest.raises(SinkError, match="No space left; what is finished stays"):
        run(ScriptedRay(lambda worker, name: Outcome(error="No space left", fatal=True)))
    with pytest.raises(SessionError, match="a worker cannot start: another bundle"):
        run(ScriptedRay(lambda worker, name: done(name), lambda number: (1, "another bundle")))

    def dies(number: int) -> tuple[int, str | None]:
        raise DiedError("The actor died")

    ray = ScriptedRay(lambda worker, name: done(name), dies)
    with pytest.raises(SessionError, match="workers die as they open the bundle"):
        run(ray, workers=1)
    assert ray.started == OPENINGS
