"""Archives on a local Ray: throughput beside processes without Ray, killed workers, the driver's memory, bytes."""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import psutil
from masklet.runtime.archive import track_video
from masklet.runtime.archive.archive import Archive
from masklet.runtime.archive.cluster import Resources, cluster
from masklet.runtime.archive.plan import ArchivePlan, seal_of
from masklet.runtime.archive.result_folder import ResultFolder
from masklet.runtime.archive.result_set import VideoResult
from masklet.runtime.archive.video import ArchiveVideo, name_of
from masklet.runtime.archive.worker import Worker
from masklet.runtime.bundle.bundle import BundleChoice
from masklet.runtime.prompts.prompts import Points
from masklet.runtime.sources.source import FeedOptions
from masklet.runtime.startup.backend_choice import BackendChoice
from masklet.runtime.startup.tracking_request import TrackingRequest
from two_discs import two_discs

CLICK = TrackingRequest({0: {1: Points.click(40, 45)}})
FRAMES, CLIPS, ROUNDS = 60, 40, 3


@dataclass
class Log:
    """Watches an archive; kills that many workers, one after a video.

    pids: of the workers. ends: when each video was finished. memory: of this process, bytes, every 100 videos.
    """

    kills: int = 0
    pids: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    _opened: int = 0
    _used: list[tuple[float, dict[str, float]]] = field(default_factory=list)

    def began(self, worker: int, pid: int) -> None:
        self.pids.append(pid)
        self._opened = len(self.ends)
        self._used.clear()

    def finished(self, result: VideoResult) -> None:
        self.names.append(result.name)
        self.ends.append(time.perf_counter())
        if (len(self.ends) - self._opened) % 10 == 1:
            self._used.append((self.ends[-1], self._cpu_s()))
        if len(self.ends) % 100 == 0:
            self.memory.append(psutil.Process().memory_info().rss)
        if self.kills and self.pids:
            self.kills -= 1
            os.kill(self.pids.pop(), signal.SIGKILL)

    def split(self, video: ArchiveVideo, segments: int) -> None: ...

    def ran(self, video: ArchiveVideo, segment: VideoResult) -> None: ...

    def retried(self, video: ArchiveVideo, error: str) -> None: ...

    def failed(self, video: ArchiveVideo, error: str) -> None:
        raise SystemExit(f"{video.source}: {error}")

    def waited(self) -> None: ...

    def rate(self, workers: int) -> float:
        """Frames/s while all workers run videos: from the first end after all are open to the last with one waiting."""
        last = len(self.ends) - workers
        return (last - self._opened) * FRAMES / (self.ends[last] - self.ends[self._opened])

    @property
    def cores(self) -> dict[str, float]:
        """How many cores the workers, this process and Ray's own took while all workers ran videos."""
        (begun, first), (ended, last) = self._used[0], self._used[-1]
        return {name: (seconds - first[name]) / (ended - begun) for name, seconds in last.items()}

    def _cpu_s(self) -> dict[str, float]:
        taken = {"workers": 0.0, "driver": _cpu_s(psutil.Process()), "Ray": 0.0}
        for process in psutil.Process().children(recursive=True):
            taken["workers" if process.pid in self.pids else "Ray"] += _cpu_s(process)
        return taken


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def write_clip(path: Path, frames: int, shift: int = 0) -> Path:
    """A video of two discs, MPEG-4. shift: pixels that they begin further to the right."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, (128, 128))
    for frame in two_discs(frames, 128, (40 + shift, 45, 16), (90, 80, 20)):
        writer.write(frame.image[..., ::-1])
    writer.release()
    return path


def plan_of(root: Path, out: Path) -> ArchivePlan:
    cut = {"start": 0, "end": None, "stride": 1, "max_side": None}
    out.mkdir(exist_ok=True)
    return ArchivePlan(BundleChoice(root), seal_of(root), BackendChoice(threads=1), cut, ResultFolder(out))


def named(clip: Path, count: int) -> list[ArchiveVideo]:
    """One clip under as many names."""
    return [ArchiveVideo(str(clip), CLICK, f"{n}") for n in range(count)]


def on_ray(root: Path, clip: Path, out: Path, workers: int, kills: int = 0, count: int = CLIPS) -> tuple[Log, float]:
    """Run one clip under as many names. Returns what happened, and the seconds with Ray's start."""
    begun, log, wanted = time.perf_counter(), Log(kills), Resources(workers)
    with cluster(wanted) as ray:
        Archive(ray, plan_of(root, out), wanted, 5, log).run(named(clip, count))
    return log, time.perf_counter() - begun


@dataclass(frozen=True)
class Speed:
    """rate: frames/s of all. ms: of the processor, a frame."""

    rate: float
    ms: float


def _alone(pipe: Any, root: Path, clip: Path, out: Path, decoders: int | None) -> None:
    """A worker without Ray: opens, waits, runs its clips, and tells how long."""
    os.nice(15)  # as Ray's workers are
    setattr(track_video, "FeedOptions", lambda threads: FeedOptions(threads=decoders))  # noqa: B010 mypy
    worker = Worker(plan_of(root, out))
    worker.open()
    first, *videos = named(clip, CLIPS // 2 + 1)
    worker.run(first)
    pipe.send("open")
    pipe.recv()
    begun, used = time.perf_counter(), time.process_time()
    for video in videos:
        worker.run(video)
    pipe.send((time.perf_counter() - begun, time.process_time() - used))


def without_ray(root: Path, clip: Path, out: Path, processes: int, decoders: int | None = 1) -> Speed:
    """Processes side by side that run the clips of a worker and know nothing of each other.

    decoders: threads that decode in each; None for FFmpeg's choice.
    """
    spawn = get_context("spawn")
    ends = [spawn.Pipe() for _ in range(processes)]
    started = [
        spawn.Process(target=_alone, args=(there, root, clip, out.with_name(f"{out.name}.{n}"), decoders))
        for n, (_, there) in enumerate(ends)
    ]
    for process in started:
        process.start()
    for here, _ in ends:
        here.recv()
    for here, _ in ends:
        here.send("go")
    frames, times = CLIPS // 2 * FRAMES, [here.recv() for here, _ in ends]
    for process in started:
        process.join()
    ms = statistics.mean(used for _, used in times) / frames * 1e3
    return Speed(sum(frames / wall for wall, _ in times), ms)


def archive(root: Path) -> str:
    speeds, cores = dict[str, list[Speed]](), dict[str, float]()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        clip = write_clip(folder / "clip.mp4", FRAMES)
        for n in range(ROUNDS):
            for workers in (1, 2):
                plain = without_ray(root, clip, folder / f"plain{n}{workers}", workers)
                speeds.setdefault(f"{workers} without Ray", []).append(plain)
                log, _ = on_ray(root, clip, folder / f"ray{n}{workers}", workers)
                rate, cores = log.rate(workers), log.cores
                speeds.setdefault(f"{workers} on Ray", []).append(Speed(rate, cores["workers"] / rate * 1e3))
            free = without_ray(root, clip, folder / f"free{n}", 2, None)
            speeds.setdefault("2 without Ray, decoding with FFmpeg's number of threads", []).append(free)
    lines = ["| workers | frames/s, median | each round | processor ms a frame |", "| --- | --- | --- | --- |"]
    middle = {name: statistics.median(one.rate for one in several) for name, several in speeds.items()}
    for name, several in sorted(speeds.items()):
        each = ", ".join(f"{one.rate:.1f}" for one in several)
        ms = statistics.median(one.ms for one in several)
        lines.append(f"| {name} | {middle[name]:.1f} | {each} | {ms:.2f} |")
    alone, ray = (middle[f"2 {where}"] / middle[f"1 {where}"] for where in ("without Ray", "on Ray"))
    share = middle["2 on Ray"] / middle["2 without Ray"]
    used = ", ".join(f"{name} {count:.2f}" for name, count in cores.items())
    lines += [
        "",
        f"Two workers on Ray do {ray:.2f} times the work of one, two processes without Ray {alone:.2f} times. The two "
        f"on Ray do {share:.2f} of what the two without do. Cores used by two on Ray: {used}.",
    ]
    return "\n".join(lines)


def killed(root: Path) -> str:
    with tempfile.TemporaryDirectory() as text:
        out = Path(text) / "killed"
        clip = write_clip(Path(text) / "clip.mp4", FRAMES)
        log, seconds = on_ray(root, clip, out, 2, kills=5)
        masks = {(out / str(n) / "masks.jsonl").read_bytes() for n in range(CLIPS)}
    return (
        f"Five workers killed with SIGKILL in the middle of videos, two at a time ({log.kills} of the kills left): "
        f"{len(log.names)} results of {len(set(log.names))} videos in {seconds:.1f} s, {len(masks)} different masks "
        "file."
    )


def driver(root: Path) -> str:
    with tempfile.TemporaryDirectory() as text:
        clip = write_clip(Path(text) / "clip.mp4", 1)
        log, seconds = on_ray(root, clip, Path(text) / "out", 2, count=2000)
    rss = ", ".join(f"{one / 1e6:.1f}" for one in log.memory)
    return (
        f"2,000 videos of one frame in {seconds:.0f} s, {2000 / seconds:.0f} a second. Resident memory of the driver, "
        f"MB, every 100 videos: {rss}."
    )


def equal(root: Path) -> str:
    """Forty different clips by the two verbs as users call them."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        clips = [write_clip(folder / f"clip{n}.mp4", FRAMES, shift=n) for n in range(CLIPS)]
        _masklet("archive", root, *clips, "-o", folder / "out", "--point", "40,45", "--workers", 2)
        _masklet("run", root, *clips, "--point", "40,45", "--threads", 1, "--masks", folder / "run.{stream}.jsonl")
        made = [(folder / "out" / name_of(str(clip)) / "masks.jsonl").read_bytes() for clip in clips]
        wanted = [(folder / f"run.{n}.jsonl").read_bytes() for n in range(1, CLIPS + 1)]
    same = sum(one == other for one, other in zip(made, wanted, strict=True))
    return (
        f"{same} of {CLIPS} clips of {FRAMES} frames have the bytes of `masklet run`; {len(set(made))} of the clips "
        "differ from each other."
    )


def _masklet(*words: object) -> None:
    subprocess.run([str(Path(sys.executable).with_name("masklet")), *map(str, words)], check=True)
