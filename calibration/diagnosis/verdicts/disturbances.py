"""What is wrong with a position on a frame, measured by how it was while the masklet held."""

from collections.abc import Mapping, Sequence
from enum import Enum
from statistics import median

import msgspec
from masklet.calibration.diagnosis.measures.measures import FrameMeasures
from masklet.calibration.diagnosis.measures.readings import Reading
from masklet.calibration.diagnosis.observer.positions import Position
from masklet.calibration.diagnosis.verdicts.breakdowns import BEFORE, HALF

FAR = 1.75  # times the largest distance so far
NEAR = 0.4  # deviations: the largest distance so far counts as this at least
STALE = 1e-6  # relative change of features


class How(Enum):
    """What is wrong. The value says it of a position."""

    STALE = "its output stands still"
    LOST = "the object does not stand out there"
    FAR = "the object looks unlike what is remembered"


class Disturbance(msgspec.Struct, frozen=True):
    """What is wrong with a position on a frame, and what it is held against.

    usual_precision: median of the last ten frames that held. farthest: the largest distance of all of them.
    """

    how: How
    precision: float | None
    usual_precision: float | None
    distance: float | None
    farthest: float


Disturbances = dict[Position, Disturbance]  # of a frame


class Usual:
    """How a position is while the masklet holds: the precisions of its frames, the largest distance so far."""

    def __init__(self) -> None:
        self._precisions: list[float] = []
        self._farthest = NEAR

    def note(self, reading: Reading) -> None:
        """Take a frame on which nothing was wrong."""
        if reading.precision is not None:
            self._precisions = [*self._precisions, reading.precision][-BEFORE:]
        if reading.distance is not None:
            self._farthest = max(self._farthest, reading.distance)

    def disturbance(self, reading: Reading) -> Disturbance | None:
        """What is wrong with a reading; None where nothing is, or nothing is known."""
        usual = median(self._precisions) if self._precisions else None
        how = self._how(reading, usual)
        return None if how is None else Disturbance(how, reading.precision, usual, reading.distance, self._farthest)

    def _how(self, reading: Reading, usual: float | None) -> How | None:
        if reading.change is not None and reading.change < STALE:
            return How.STALE
        if reading.precision is not None and usual is not None and reading.precision < HALF * usual:
            return How.LOST
        if reading.distance is not None and reading.distance > FAR * self._farthest:
            return How.FAR
        return None


def disturbances(measures: Sequence[FrameMeasures], holds: Mapping[int, bool]) -> dict[int, Disturbances]:
    """What is wrong on every frame in sight, by position.

    holds: whether the masklet holds, by frame. What is usual for a position follows from the frames before on which the
    masklet held and nothing was wrong with the position.
    """
    usual = {position: Usual() for position in Position}
    found: dict[int, Disturbances] = {}
    for each in (m for m in measures if m.frame in holds):
        now = found[each.frame] = {}
        for position in Position:
            reading = each.positions.get(position.value)
            if reading is None:
                continue
            wrong = usual[position].disturbance(reading)
            if wrong is not None:
                now[position] = wrong
            elif holds[each.frame]:
                usual[position].note(reading)
    return found
