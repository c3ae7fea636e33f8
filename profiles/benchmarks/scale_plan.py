"""A plan for an archive, simulated from a measured time per frame: where more workers stop helping."""

import heapq
import math
import random
from dataclasses import dataclass
from pathlib import Path

from masklet.profiles.report.report import read_report

ASSUMED_MS = 20.0  # of a worker with a GPU; not measured


@dataclass(frozen=True)
class Plan:
    """An archive, and what runs it.

    ms: of a frame on one worker. overhead_s: of a video, besides its frames. calls_per_s: of the driver.
    gb_per_hour: of the videos; store_gb_s: what the object store delivers to all workers together.
    """

    ms: float
    hours: float = 40_000
    minutes: float = 6.0  # median length of a video
    spread: float = 1.0  # of the lengths, sigma of their logarithm
    fps: float = 30.0
    overhead_s: float = 1.0
    calls_per_s: float = 50.0
    gb_per_hour: float = 2.0
    store_gb_s: float = 2.0


def lengths_of(plan: Plan, segment_s: float = math.inf, overlap_s: float = 5.0) -> list[float]:
    """Seconds of every task: of a video, or of its segments with what they overlap."""
    rng = random.Random(0)
    tasks: list[float] = []
    total = 0.0
    while total < plan.hours * 3600:
        left = rng.lognormvariate(math.log(plan.minutes * 60), plan.spread)
        total += left
        ahead = 0.0
        while left > segment_s:
            tasks.append(segment_s + ahead)
            left, ahead = left - segment_s, overlap_s
        tasks.append(left + ahead)
    return tasks


def simulate(plan: Plan, workers: int, lengths: list[float]) -> tuple[float, float]:
    """Days until the last task, and hours from the first idle worker to it: each takes the next when it is free."""
    share = plan.store_gb_s / workers  # a worker's part of the store, if all fetch at once
    free = [0.0] * workers
    for n, length in enumerate(lengths):
        fetch = length / 3600 * plan.gb_per_hour / min(share, 0.5)
        begun = max(heapq.heappop(free), n / plan.calls_per_s)
        heapq.heappush(free, begun + plan.overhead_s + fetch + length * plan.fps * plan.ms / 1e3)
    return max(free) / 86400, (max(free) - min(free)) / 3600


def plan(profile: Path) -> str:
    """profile: what `masklet profile --json` wrote, of one thread, as a worker has."""
    report = read_report(profile)
    ms = 1e3 / report.frame.fps
    bundle, source = report.bundle, report.source
    return "\n".join(
        [
            f"Measured: {ms:.0f} ms a frame on one worker, {bundle.family}/{bundle.variant} at {bundle.side} px, "
            f"{bundle.backend}, threads: {bundle.threads}, {report.frames} frames of {source.width}x{source.height}, "
            f"{report.device.cpu}.",
            "",
            *table(ms, (256, 1024, 4096, 16384, 65536)),
            "",
            f"Assumed: {ASSUMED_MS:.0f} ms a frame, for a worker with a GPU.",
            "",
            *table(ASSUMED_MS, (16, 64, 256, 1024, 4096)),
        ]
    )


def table(ms: float, counts: tuple[int, ...]) -> list[str]:
    """Rows of Markdown, one for each number of workers."""
    rows = ["| workers | days | of frames alone | longest first | in segments of 10 min | first to last idle, h |"]
    rows.append("| --- | --- | --- | --- | --- | --- |")
    wanted = Plan(ms)
    lengths, segments = lengths_of(wanted), lengths_of(wanted, 600)
    longest = sorted(lengths, reverse=True)
    for workers in counts:
        ideal = wanted.hours * 3600 * wanted.fps * ms / 1e3 / workers / 86400
        days, idle = simulate(wanted, workers, lengths)
        others = (simulate(wanted, workers, tasks)[0] for tasks in (longest, segments))
        cells = " | ".join(f"{one:,.2f}" for one in (days, ideal, *others))
        rows.append(f"| {workers:,} | {cells} | {idle:.1f} |")
    return rows
