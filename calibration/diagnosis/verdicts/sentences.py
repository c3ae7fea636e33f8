"""A verdict in one sentence, with its evidence."""

from collections.abc import Sequence

from masklet.calibration.diagnosis.measures.measures import FrameMeasures
from masklet.calibration.diagnosis.measures.readings import Reading
from masklet.calibration.diagnosis.observer.positions import Position
from masklet.calibration.diagnosis.verdicts.breakdowns import HALF
from masklet.calibration.diagnosis.verdicts.disturbances import How
from masklet.calibration.diagnosis.verdicts.verdict import WAY, Verdict

VISIBLE = 0.5  # score from which the model takes an object for visible
BETTER = 0.1  # J by which a candidate must beat the mask that was taken


def sentence(verdict: Verdict, measures: Sequence[FrameMeasures]) -> str:
    """Where, when and by what evidence."""
    at = next(m for m in measures if m.frame == verdict.since)
    evidence = _evidence(verdict, at)
    back = "" if verdict.until is None else f", until frame {verdict.until}"
    if verdict.kind == "silent":
        return (
            f"Object {verdict.object_id}, {verdict.position.value}, from frame {verdict.since} on{back}: {evidence}; "
            f"its masks hold all the same (J {verdict.j_after:.2f} or more)."
        )
    if verdict.kind == "prompt":
        return (
            f"Object {verdict.object_id} is not found where it is prompted, on frame {verdict.frame}: its mask has J "
            f"{verdict.j_after:.2f}; {_of_mask(verdict, at)}. What follows is as good as that mask."
        )
    since = "" if verdict.since == verdict.frame else f", from frame {verdict.since} on"
    return (
        f"Object {verdict.object_id} is lost on frame {verdict.frame}{back}: J falls from {verdict.j_before:.2f} to "
        f"{verdict.j_after:.2f}. It was lost first at the {verdict.position.value}{since}: {evidence}"
        f"{_before(verdict, at)}."
    )


def _evidence(verdict: Verdict, at: FrameMeasures) -> str:
    wrong = verdict.wrong
    if wrong is None or (verdict.position is Position.MASK and wrong.how is How.LOST):
        return _of_mask(verdict, at)
    if wrong.how is How.LOST and wrong.precision is not None and wrong.usual_precision is not None:
        numbers = f"precision {wrong.precision:.2f}, {wrong.usual_precision:.2f} before"
        left = at.positions[verdict.position.value].refit_precision
        if left is not None:
            found = "still finds it" if left >= HALF * wrong.usual_precision else "does not find it either"
            numbers += f"; a read-out fitted anew {found}, {left:.2f}"
        return f"{wrong.how.value} ({numbers})"
    if wrong.how is How.FAR and wrong.distance is not None:
        return f"{wrong.how.value} ({wrong.distance:.2f} deviations away, {wrong.farthest:.2f} at most before)"
    return wrong.how.value


def _of_mask(verdict: Verdict, at: FrameMeasures) -> str:
    if at.score < VISIBLE:
        why = f"the decoder takes it for out of sight (score {at.score:.2f})"
    elif at.best_candidate is not None and at.best_candidate >= max(HALF * verdict.j_before, (at.j or 0.0) + BETTER):
        why = f"the decoder chose the wrong one of its candidates (the best has J {at.best_candidate:.2f})"
    else:
        why = "none of the decoder's candidates has it"
        if at.best_candidate is not None:
            why += f" (J {at.best_candidate:.2f} at best)"
    return why


def _before(verdict: Verdict, at: FrameMeasures) -> str:
    """What the position before it still knows, where it is one of a frame's way."""
    if verdict.position not in WAY[1:]:
        return ""
    earlier = WAY[WAY.index(verdict.position) - 1]
    precision = at.positions.get(earlier.value, Reading()).precision
    return "" if precision is None else f", while the {earlier.value} still tells it apart (precision {precision:.2f})"
