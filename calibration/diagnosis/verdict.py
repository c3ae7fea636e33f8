"""The verdict: at which position an object was lost first.

A frame passes image embedding, memory attention, prompt attention and mask, and becomes memory, which later frames
attend to. On the first frame of a breakdown the mask is lost; the loss is placed at the first position from which on
something is wrong all the way to the mask. Where memory was wrong on the frames before while masks still held, it is to
blame in place of what reads from it; and so is a position that stood still on the frames before.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from masklet.calibration.diagnosis.breakdowns import FRAMES, Breakdown, Course, course
from masklet.calibration.diagnosis.disturbances import Disturbance, Disturbances, disturbances
from masklet.calibration.diagnosis.measures import FrameMeasures
from masklet.calibration.diagnosis.positions import Position

WAY = (Position.IMAGE, Position.ATTENTION, Position.PROMPT, Position.MASK)  # of a frame, to its mask


class Verdict(msgspec.Struct, frozen=True):
    """Where an object was lost.

    kind:      breakdown (J fell below half), silent (a position lost the object while masks held).
    frame:     where the breakdown begins; of a silent loss, its first frame.
    since:     the first frame on which the position was disturbed.
    position:  the first at which the object was lost. how: what is wrong there.
    """

    object_id: int
    kind: Literal["breakdown", "silent"]
    frame: int
    until: int | None
    position: Position
    how: Disturbance
    since: int
    j_before: float
    j_after: float


def verdicts(measures: Sequence[FrameMeasures]) -> list[Verdict]:
    """The verdicts on one object, in the order of frames."""
    if not measures:
        return []
    went, object_id = course(measures), measures[0].object_id
    wrong, _ = disturbances(measures, went.holds)
    found = [_of_breakdown(object_id, each, went, wrong) for each in went.breakdowns]
    explained = {(v.position, v.since) for v in found}
    for position in Position:
        for run in _runs(position, wrong, went.holds):
            if len(run) >= FRAMES and (position, run[0]) not in explained and _is_blamed(position, run, wrong):
                how = wrong[run[0]][position]
                j = [m.j or 0.0 for m in measures if m.frame in run]
                found.append(Verdict(object_id, "silent", run[0], run[-1] + 1, position, how, run[0], j[0], min(j)))
    return sorted(found, key=lambda verdict: (verdict.frame, verdict.kind))


def _of_breakdown(object_id: int, breakdown: Breakdown, went: Course, wrong: Mapping[int, Disturbances]) -> Verdict:
    now, position = wrong[breakdown.frame], Position.MASK
    for earlier in reversed(WAY[:-1]):
        if earlier not in now:
            break
        position = earlier
    since = breakdown.frame
    for cause in Position:
        for run in _runs(cause, wrong, went.holds):
            before = _leads_to(run, breakdown.frame, went.holds) and _is_blamed(cause, run, wrong)
            if before and run[0] < since and not (cause is Position.MEMORY and position is Position.IMAGE):
                position, since = cause, run[0]
    return Verdict(
        object_id=object_id,
        kind="breakdown",
        frame=breakdown.frame,
        until=breakdown.until,
        position=position,
        how=wrong[since].get(position, Disturbance.LOST),
        since=since,
        j_before=breakdown.before,
        j_after=breakdown.after,
    )


def _runs(position: Position, wrong: Mapping[int, Disturbances], holds: Mapping[int, bool]) -> list[list[int]]:
    """Stretches of frames in sight that hold and on all of which a position is disturbed."""
    runs: list[list[int]] = [[]]
    for frame, disturbed in wrong.items():
        if holds[frame] and position in disturbed:
            runs[-1].append(frame)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _leads_to(run: Sequence[int], frame: int, holds: Mapping[int, bool]) -> bool:
    """Whether a run of some length ends on the last frame in sight before another."""
    before = [each for each in holds if each < frame]
    return len(run) >= FRAMES and bool(before) and run[-1] == before[-1]


def _is_blamed(position: Position, run: Sequence[int], wrong: Mapping[int, Disturbances]) -> bool:
    """Whether a disturbance while masks hold is a loss: of memory any, of others none but a standstill."""
    if position is Position.MEMORY:
        return True
    return all(wrong[frame][position] is Disturbance.STALE for frame in run)
