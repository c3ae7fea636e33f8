"""What distribution costs and gains: archives on Ray, stages on a model server, and a plan for 40,000 hours.

    python profiles/benchmarks/scale.py archive BUNDLE     throughput of 1 and 2 workers; five workers killed
    python profiles/benchmarks/scale.py driver BUNDLE      memory of the driver over 2,000 short videos
    python profiles/benchmarks/scale.py kserve BUNDLE      milliseconds a frame: local, over gRPC, in shared memory
    python profiles/benchmarks/scale.py plan               a simulation from the figures that are given to it

Needs masklet[archive,kserve], and for `kserve` MLServer in .venv/servers (.ci/run installs it).
"""

import argparse
import heapq
import math
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import Pipe, get_context
from pathlib import Path
from typing import Any

import cv2
import psutil

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from masklet.runtime.archive.archive import Archive
from masklet.runtime.archive.cluster import Resources, cluster
from masklet.runtime.archive.plan import ArchivePlan, seal_of
from masklet.runtime.archive.result_set import VideoResult
from masklet.runtime.archive.video import ArchiveVideo
from masklet.runtime.backends.kserve.backend import KServe
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle, BundleChoice
from masklet.runtime.prompts.prompts import Points
from masklet.runtime.startup.backend_choice import BackendChoice
from masklet.runtime.startup.tracking_request import TrackingRequest
from masklet.runtime.tracking.video_tracker import VideoTracker
from two_discs import two_discs

CLICK = TrackingRequest({0: {1: Points.click(40, 45)}})


@dataclass
class Log:
    """Watches an archive; kills that many workers, one after a video."""

    kills: int = 0
    pids: list[int] = field(default_factory=list)
    results: list[VideoResult] = field(default_factory=list)
    begun_s: float = 0.0
    memory: list[int] = field(default_factory=list)

    def began(self, worker: int, pid: int) -> None:
        self.pids.append(pid)
        self.begun_s = self.begun_s or time.perf_counter()

    def finished(self, result: VideoResult) -> None:
        self.results.append(result)
        if len(self.results) % 100 == 0:
            self.memory.append(psutil.Process().memory_info().rss)
        if self.kills and self.pids:
            self.kills -= 1
            os.kill(self.pids.pop(), signal.SIGKILL)

    def retried(self, video: ArchiveVideo, error: str) -> None: ...

    def failed(self, video: ArchiveVideo, error: str) -> None:
        raise SystemExit(f"{video.source}: {error}")

    def waited(self) -> None: ...


def write_clip(path: Path, frames: int) -> Path:
    """A video of two discs, MPEG-4."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, (128, 128))
    for frame in two_discs(frames, 128, (40, 45, 16), (90, 80, 20)):
        writer.write(frame.image[..., ::-1])
    writer.release()
    return path


def run_archive(root: Path, clip: Path, out: Path, count: int, workers: int, kills: int = 0) -> tuple[Log, float]:
    """Run one clip under as many names. Returns what happened, and the seconds from the first open worker on."""
    cut = {"start": 0, "end": None, "stride": 1, "max_side": None}
    plan = ArchivePlan(BundleChoice(root), seal_of(root), BackendChoice(threads=1), cut, out)
    log, wanted = Log(kills), Resources(workers)
    with cluster(wanted) as ray:
        Archive(ray, plan, wanted, 5, log).run([ArchiveVideo(str(clip), CLICK, f"{n}") for n in range(count)])
    return log, time.perf_counter() - log.begun_s


def archive(root: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder) / "clip.mp4", 60)
        for n, workers in enumerate((1, 2, 1, 2)):
            out = Path(folder) / str(n)
            out.mkdir()
            log, seconds = run_archive(root, clip, out, 40, workers)
            frames = sum(result.frames for result in log.results)
            print(f"{workers} workers: {frames} frames in {seconds:.1f} s, {frames / seconds:.1f} frames/s", flush=True)
        out = Path(folder) / "killed"
        out.mkdir()
        log, seconds = run_archive(root, clip, out, 40, 2, kills=5)
        masks = {(out / str(n) / "masks.jsonl").read_bytes() for n in range(40)}
        print(
            f"5 kills: {len(log.results)} results of {len({r.name for r in log.results})} videos in {seconds:.1f} s, "
        )
        print(f"  {len(masks)} different masks files, kills left: {log.kills}")


def driver(root: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder) / "clip.mp4", 1)
        out = Path(folder) / "out"
        out.mkdir()
        log, seconds = run_archive(root, clip, out, 2000, 2)
    print(f"2000 videos of 1 frame in {seconds:.0f} s: {2000 / seconds:.0f} videos/s")
    print("driver's RSS, MB, every 100 videos:", " ".join(f"{rss / 1e6:.0f}" for rss in log.memory))


def _serve(pipe: Any, root: str) -> None:
    from triton_like_server import TritonLike

    server = TritonLike(Bundle.load(root))
    pipe.send(server.url)
    pipe.recv()
    server.stop()


@contextmanager
def shared_memory_server(root: Path) -> Iterator[str]:
    """The tests' server with shared memory, in a process of its own."""
    here, there = Pipe()
    process = get_context("spawn").Process(target=_serve, args=(there, str(root)))
    process.start()
    yield str(here.recv())
    here.send(None)
    process.join()


def ms_per_frame(bundle: Bundle, backend: Any, frames: int = 30) -> float:
    """Median over the later frames of a clip with one object, in ms."""
    times = []
    with Sessions.open(bundle, backend) as sessions:
        tracker = VideoTracker(sessions)
        for frame in two_discs(frames, 128, (40, 45, 16), (90, 80, 20)):
            begun = time.perf_counter()
            tracker.step(frame, CLICK.schedule.get(frame.index))
            times.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(times[10:])


def kserve(root: Path) -> None:
    from model_servers import MlServer, write_mlserver_models

    bundle = Bundle.load(root)
    with tempfile.TemporaryDirectory() as folder, shared_memory_server(root) as shared:
        write_mlserver_models(bundle, Path(folder))
        server = MlServer(Path(folder))
        server.start()
        try:
            for _ in range(2):
                print(f"local {ms_per_frame(bundle, OnnxRuntime(1)):.1f} ms a frame")
                print(f"MLServer over gRPC {ms_per_frame(bundle, KServe(server.url)):.1f}")
                print(f"server with shared memory {ms_per_frame(bundle, KServe(shared)):.1f}", flush=True)
        finally:
            server.kill()


@dataclass(frozen=True)
class Plan:
    """An archive, and what runs it. overhead_s: of a video, besides its frames; calls_per_s: of the driver.

    gb_per_hour: of the videos; store_gb_s: what the object store delivers to all workers together.
    """

    hours: float = 40_000
    minutes: float = 6.0  # median length of a video
    spread: float = 1.0  # of the lengths, sigma of their logarithm
    fps: float = 30.0
    ms: float = 20.0
    overhead_s: float = 1.0
    calls_per_s: float = 50.0
    gb_per_hour: float = 2.0
    store_gb_s: float = 2.0


def simulate(plan: Plan, workers: int, *, longest_first: bool = False, seed: int = 0) -> dict[str, float]:
    """Days until the last video, and the bounds: each worker takes the next video when it is free."""
    rng = random.Random(seed)
    lengths: list[float] = []
    total = 0.0
    while total < plan.hours * 3600:
        lengths.append(rng.lognormvariate(math.log(plan.minutes * 60), plan.spread))
        total += lengths[-1]
    if longest_first:
        lengths.sort(reverse=True)
    share = plan.store_gb_s / workers  # a worker's part of the store, if all fetch at once
    free = [0.0] * workers
    for n, length in enumerate(lengths):
        fetch = length / 3600 * plan.gb_per_hour / min(share, 0.5)
        begun = max(heapq.heappop(free), n / plan.calls_per_s)
        heapq.heappush(free, begun + plan.overhead_s + fetch + length * plan.fps * plan.ms / 1e3)
    ideal = plan.hours * 3600 * plan.fps * plan.ms / 1e3 / workers
    return {"videos": len(lengths), "days": max(free) / 86400, "ideal": ideal / 86400, "idle": max(free) - min(free)}


def plan(ms: float) -> None:
    print("| workers | days | of frames alone | longest first | last worker waits for the longest, h |")
    print("| --- | --- | --- | --- | --- |")
    for workers in (16, 64, 256, 1024, 4096):
        one, sorted_ = simulate(Plan(ms=ms), workers), simulate(Plan(ms=ms), workers, longest_first=True)
        print(
            f"| {workers} | {one['days']:.2f} | {one['ideal']:.2f} | {sorted_['days']:.2f} | {one['idle'] / 3600:.1f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["archive", "driver", "kserve", "plan"])
    parser.add_argument("bundle", type=Path, nargs="?")
    parser.add_argument("--ms", type=float, default=20.0, help="milliseconds a frame, for plan")
    given = parser.parse_args()
    if given.part == "plan":
        plan(given.ms)
    else:
        {"archive": archive, "driver": driver, "kserve": kserve}[given.part](given.bundle.resolve())


if __name__ == "__main__":
    main()
