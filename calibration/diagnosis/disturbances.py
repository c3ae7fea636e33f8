"""What is wrong with a position on a frame, measured by how it was while the masklet held."""

from collections.abc import Mapping, Sequence
from enum import Enum
from statistics import median

from masklet.calibration.diagnosis.breakdowns import BEFORE, HALF
from masklet.calibration.diagnosis.measures import FrameMeasures, Reading
from masklet.calibration.diagnosis.positions import Position

FAR = 1.75  # times the largest distance so far
NEAR = 0.4  # deviations: the largest distance so far counts as this at least
STALE = 1e-6  # relative change of features


class Disturbance(Enum):
    """What is wrong. The value says it of the object at a position."""

    STALE = "does not change any more"
    LOST = "does not stand out any more"
    FAR = "looks like nothing that is remembered"


Disturbances = dict[Position, Disturbance]


class Usual:
    """How a position is while the masklet holds: the precisions of its last frames, the largest distance so far."""

    def __init__(self) -> None:
        self.precisions: list[float] = []
        self.farthest = NEAR

    @property
    def precision(self) -> float | None:
        """Median of the last ten frames."""
        return median(self.precisions[-BEFORE:]) if self.precisions else None

    def note(self, reading: Reading) -> None:
        """Take a frame on which nothing was wrong."""
        if reading.precision is not None:
            self.precisions.append(reading.precision)
        if reading.distance is not None:
            self.farthest = max(self.farthest, reading.distance)

    def disturbance(self, reading: Reading) -> Disturbance | None:
        """What is wrong with a reading; None where nothing is, or nothing is known."""
        if reading.change is not None and reading.change < STALE:
            return Disturbance.STALE
        usual = self.precision
        if reading.precision is not None and usual is not None and reading.precision < HALF * usual:
            return Disturbance.LOST
        if reading.distance is not None and reading.distance > FAR * self.farthest:
            return Disturbance.FAR
        return None


def disturbances(
    measures: Sequence[FrameMeasures], holds: Mapping[int, bool]
) -> tuple[dict[int, Disturbances], dict[Position, dict[int, float]]]:
    """What is wrong on every frame in sight, by position, and the usual precision of each that it is held against.

    holds: whether the masklet holds, by frame. What is usual for a position follows from the frames before on which the
    masklet held and nothing was wrong with the position.
    """
    usual = {position: Usual() for position in Position}
    found: dict[int, Disturbances] = {}
    against: dict[Position, dict[int, float]] = {position: {} for position in Position}
    for each in measures:
        if each.frame not in holds:
            continue
        found[each.frame] = {}
        for position in Position:
            reading = each.positions.get(position.value)
            if reading is None:
                continue
            before = usual[position].precision
            if before is not None:
                against[position][each.frame] = before
            wrong = usual[position].disturbance(reading)
            if wrong is not None:
                found[each.frame][position] = wrong
            elif holds[each.frame]:
                usual[position].note(reading)
    return found, against
