"""When a masklet breaks: its region similarity J below half of before, for three frames in sight."""

from collections.abc import Sequence
from statistics import median

import msgspec
from masklet.calibration.diagnosis.measures.measures import FrameMeasures

FRAMES = 3  # in a row, until something counts
HALF = 0.5  # of before
BEFORE = 10  # frames that hold, of which `before` is the median
WORTH = 0.2  # J of the first frame below which there is nothing that could break


class Breakdown(msgspec.Struct, frozen=True):
    """An object that was followed and is not any more.

    frame:  the first on which J is below half of `before`.
    until:  the first on which it holds again for three frames; None where it does not.
    before: median J of the last ten frames that held. after: mean J of the first three that do not.
    """

    frame: int
    until: int | None
    before: float
    after: float


class Course(msgspec.Struct, frozen=True):
    """How a masklet went. holds: by frame, whether J is above half of before; frames out of sight are not in it."""

    holds: dict[int, bool]
    breakdowns: list[Breakdown]


def course(measures: Sequence[FrameMeasures]) -> Course:
    """Follow J through a clip. Frames on which the object is out of sight, or whose truth is unknown, do not count."""
    holds: dict[int, bool] = {}
    found: list[Breakdown] = []
    before: list[float] = []
    run: list[tuple[int, float]] = []  # the last frames that all held, or all did not
    broken = False
    for frame, j in ((m.frame, m.j) for m in measures if m.in_sight and m.j is not None):
        usual = median(before[-BEFORE:]) if before else j
        holds[frame] = j >= HALF * usual or usual < WORTH
        changes = holds[frame] == broken
        run = [*run, (frame, j)] if changes else []
        if holds[frame] and not broken:
            before.append(j)
        if len(run) == FRAMES:
            broken = not broken
            if broken:
                found.append(Breakdown(run[0][0], None, usual, sum(j for _, j in run) / FRAMES))
            else:
                found[-1] = msgspec.structs.replace(found[-1], until=run[0][0])
            run = []
    return Course(holds, found)
