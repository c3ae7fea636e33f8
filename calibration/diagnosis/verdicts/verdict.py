"""The verdict: at which position an object was lost first.

A frame passes image embedding, memory attention, prompt attention and mask, and becomes memory, which later frames
attend to. On the first frame of a breakdown the mask is lost; the loss is placed at the first position from which on
something is wrong all the way to the mask. Where memory was wrong on the frames before while masks still held, it is to
blame in place of what reads from it; and so is a position that stood still on the frames before.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from masklet.calibration.diagnosis.measures.measures import FrameMeasures
from masklet.calibration.diagnosis.observer.positions import Position
from masklet.calibration.diagnosis.verdicts.breakdowns import FRAMES, HALF, Breakdown, course
from masklet.calibration.diagnosis.verdicts.disturbances import Disturbance, Disturbances, How, disturbances

Runs = Mapping[Position, list[list[int]]]  # stretches of frames on which a position is to blame by itself
WAY = (Position.IMAGE, Position.ATTENTION, Position.PROMPT, Position.MASK)  # of a frame, to its mask


class Verdict(msgspec.Struct, frozen=True):
    """Where an object was lost.

    kind:     breakdown (J fell below half of before), silent (a position lost the object while masks held), prompt (the
              object is not found where it is prompted: J below one half there).
    frame:    where the breakdown begins; of a silent loss, its first frame. until: the first on which all is well
              again; None where it is not.
    position: the first at which the object was lost. since: the first frame on which it was.
    wrong:    what is wrong there on that frame; None of a mask that is alone in it.
    j_before, j_after: J before, and mean of the three frames that count; of a silent loss the lowest of its frames.
    """

    object_id: int
    kind: Literal["breakdown", "silent", "prompt"]
    frame: int
    until: int | None
    position: Position
    since: int
    wrong: Disturbance | None
    j_before: float
    j_after: float


def verdicts(measures: Sequence[FrameMeasures]) -> list[Verdict]:
    """The verdicts on one object, in the order of frames."""
    if not measures:
        return []
    went = course(measures)
    wrong = disturbances(measures, went.holds)
    runs = {position: _runs(position, wrong, went.holds) for position in Position}
    found = [_of_prompt(each) for each in measures[:1] if each.j is not None and each.j < HALF]
    found += [_of_breakdown(measures[0].object_id, each, wrong, runs) for each in went.breakdowns]
    explained = {(verdict.position, verdict.since) for verdict in found}
    for position, several in runs.items():
        for run in several:
            holding = [frame for frame in run if went.holds[frame]]
            if len(holding) >= FRAMES and (position, run[0]) not in explained:
                found.append(_silent(measures, position, holding, wrong))
    return sorted(found, key=lambda verdict: (verdict.since, verdict.frame))


def _of_prompt(first: FrameMeasures) -> Verdict:
    """The first frame's mask is not the object, whatever comes of it later."""
    j = first.j or 0.0
    return Verdict(first.object_id, "prompt", first.frame, None, Position.MASK, first.frame, None, 1.0, j)


def _of_breakdown(object_id: int, breakdown: Breakdown, wrong: Mapping[int, Disturbances], runs: Runs) -> Verdict:
    """Place a breakdown: on the way of its first frame, or before that, where a position was wrong all the time."""
    now, position = wrong[breakdown.frame], Position.MASK
    for earlier in reversed(WAY[:-1]):
        if earlier not in now:
            break
        position = earlier
    since, order = breakdown.frame, list(Position)
    for cause, several in runs.items():
        for run in (each for each in several if _leads_to(each, breakdown.frame, list(wrong))):
            sooner = (run[0], order.index(cause)) < (since, order.index(position))
            if sooner and not (cause is Position.MEMORY and position is Position.IMAGE):
                position, since = cause, run[0]
    return Verdict(
        object_id=object_id,
        kind="breakdown",
        frame=breakdown.frame,
        until=breakdown.until,
        position=position,
        since=since,
        wrong=wrong[since].get(position),
        j_before=breakdown.before,
        j_after=breakdown.after,
    )


def _silent(
    measures: Sequence[FrameMeasures], position: Position, run: Sequence[int], wrong: Mapping[int, Disturbances]
) -> Verdict:
    later = [m.frame for m in measures if m.frame > run[-1]]
    j = {m.frame: m.j or 0.0 for m in measures}
    before = next((j[m.frame] for m in reversed(measures) if m.frame < run[0]), j[run[0]])
    return Verdict(
        object_id=measures[0].object_id,
        kind="silent",
        frame=run[0],
        until=later[0] if later else None,
        position=position,
        since=run[0],
        wrong=wrong[run[0]][position],
        j_before=before,
        j_after=min(j[frame] for frame in run),
    )


def _runs(position: Position, wrong: Mapping[int, Disturbances], holds: Mapping[int, bool]) -> list[list[int]]:
    """Stretches of three frames in sight or more on which a position is to blame by itself.

    That is memory where something is wrong with it though the mask that became it holds, and any position that stands
    still. What is wrong with the others is nothing yet while masks hold: what they know is passed on all the same.
    """
    runs: list[list[int]] = [[]]
    for frame, disturbed in wrong.items():
        blamed = position in disturbed and (
            disturbed[position].how is How.STALE or (position is Position.MEMORY and holds[frame])
        )
        if blamed:
            runs[-1].append(frame)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if len(run) >= FRAMES]


def _leads_to(run: Sequence[int], frame: int, frames: Sequence[int]) -> bool:
    """Whether a run holds on until a frame: to the last one in sight before it at least."""
    before = [each for each in frames if each < frame]
    return run[0] <= frame and run[-1] >= (before[-1] if before else frame)
