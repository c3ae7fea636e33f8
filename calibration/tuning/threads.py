"""How many threads a point runs fastest with, timed on the first frames of a clip."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace

from masklet.calibration.clips.clips import Clip
from masklet.calibration.tuning.models import Models
from masklet.calibration.tuning.point import Point
from masklet.calibration.tuning.trial import Clock, TimedFrames, timed_session, times_of, tracker_of

ROUNDS = 2  # that each number of threads is timed, taking turns; the shorter time counts
FRAMES, SECONDS = 12, 5.0  # frames of each round, and for how long at most
ENOUGH = 1.05  # times the shortest time that is as good: fewer threads leave cores to others


def thread_counts(most: int | None) -> list[int]:
    """The numbers of threads to time: 1, 2, 4 ... and the most; None for all cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    most = most or cores
    return sorted({most, *(1 << power for power in range(most.bit_length()))})


def time_threads(
    models: Models, point: Point, clip: Clip, progress: Callable[[int], None], clock: Clock
) -> dict[int, float]:
    """Milliseconds of a frame of a point, by number of threads."""
    found: dict[int, float] = {}
    for count in ROUNDS * thread_counts(models.threads):
        timed, begun = [TimedFrames()], clock()
        with replace(models, threads=count).open(point, lambda s, t=timed: timed_session(s, t, clock)) as sessions:  # type: ignore[misc]
            for done, _ in enumerate(timed[0].follow(tracker_of(point, clip, sessions), clip, clock)):
                progress(1)
                if done == FRAMES or (done > 1 and clock() - begun > SECONDS):
                    break
        found[count] = min(times_of(timed, 1).mean, found.get(count, math.inf))
    return found


def fewest_threads(ms: Mapping[int, float]) -> int:
    """The fewest threads that are as fast as any number of them."""
    return min(count for count, taken in ms.items() if taken <= ENOUGH * min(ms.values()))
