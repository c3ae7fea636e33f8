"""What a diagnosis came to, as data: FILE of --json."""

from collections.abc import Sequence
from statistics import fmean

import msgspec
from masklet.calibration.diagnosis.measures.measures import FrameMeasures
from masklet.calibration.diagnosis.observer.positions import Position
from masklet.calibration.diagnosis.verdicts.verdict import Verdict

SCHEMA = 1
AS_IT_IS = "as it is"  # the name of the clip untransformed


class Finding(msgspec.Struct, frozen=True):
    """A verdict in words. remedies: what to try, the likeliest first."""

    verdict: Verdict
    sentence: str
    remedies: list[str]


class Means(msgspec.Struct, frozen=True):
    """A position's readings, mean over the frames in sight after the prompt. None where there are none."""

    auc: float | None
    precision: float | None
    refit_auc: float | None
    refit_precision: float | None
    distance: float | None

    @classmethod
    def of(cls, position: Position, measures: Sequence[FrameMeasures]) -> "Means":
        """Average over objects and frames."""
        readings = [m.positions[position.value] for m in measures if position.value in m.positions and not m.prompted]
        return cls(*(_mean([getattr(each, name) for each in readings]) for name in cls.__struct_fields__))


class Condition(msgspec.Struct, frozen=True):
    """A clip as it is, or transformed.

    j:         mean over the frames in sight after the prompt; None without a truth.
    false:     frames of objects with a mask while they were out of sight.
    positions: by name. measures: of every object and frame.
    """

    name: str
    frames: int
    j: float | None
    false: int
    positions: dict[str, Means]
    findings: list[Finding]
    measures: list[FrameMeasures]

    @classmethod
    def of(cls, name: str, frames: int, measures: Sequence[FrameMeasures], findings: list[Finding]) -> "Condition":
        """Sum the measures up."""
        seen = [m for m in measures if m.in_sight and not m.prompted]
        return cls(
            name=name,
            frames=frames,
            j=_mean([m.j for m in seen]),
            false=sum(m.in_sight is False and m.j == 0 for m in measures),
            positions={position.value: Means.of(position, seen or measures) for position in Position},
            findings=findings,
            measures=list(measures),
        )

    @property
    def breakdowns(self) -> int:
        """How often an object was lost."""
        return sum(finding.verdict.kind == "breakdown" for finding in self.findings)

    @property
    def weakest(self) -> str:
        """The position that loses an object most often; empty where none does."""
        lost = [finding.verdict.position.value for finding in self.findings]
        return max(sorted(set(lost)), key=lost.count) if lost else ""


class Side(msgspec.Struct, frozen=True):
    """A bundle over all conditions. memory: its policy. low_stages: the precision of those that are not FP32."""

    bundle: str
    memory: str
    family: str
    variant: str
    low_stages: dict[str, str]
    conditions: list[Condition]


class Report(msgspec.Struct, frozen=True):
    """Everything that a diagnosis says. against: another bundle over the same conditions.

    truth: whether there were true masks; without, readings have distances alone.
    """

    source: str
    objects: list[int]
    seed: int
    truth: bool
    side: Side
    against: Side | None = None
    schema: int = SCHEMA


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
