"""Finds which stages, and which parts of them, can have a low precision, in closed loop on the clips."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from masklet.calibration.graphs.low_precision import FULL, StagePrecision, StagePrecisions
from masklet.calibration.scoring.closed_loop import Bound, Evaluation, Figures
from masklet.calibration.search.lowered_stages import LoweredStages

Judge = Callable[[str, StagePrecisions], Evaluation]  # called with a description of the trial and its choices


class Attempt(msgspec.Struct, frozen=True):
    """One trial: its description, choices and accuracy."""

    why: str
    choices: dict[str, StagePrecision]
    figures: Figures
    within: bool


@dataclass
class Search:
    """Tries choices and records the results.

    alone: accuracy with each stage at low precision while all others are FP32.
    """

    lowered: LoweredStages
    judge: Judge
    bound: Bound
    trials: list[Attempt] = field(default_factory=list)
    alone: dict[str, Figures] = field(default_factory=dict)
    evaluations: dict[tuple[tuple[str, StagePrecision], ...], Evaluation] = field(default_factory=dict)

    def attempt(self, why: str, choices: StagePrecisions) -> bool:
        """Measure choices in closed loop. Returns whether they are within the limits."""
        key = _key(choices)
        if key not in self.evaluations:
            self.evaluations[key] = self.judge(why, choices)
        figures = self.evaluations[key].figures
        within = self.bound.holds(figures)
        self.trials.append(Attempt(why, dict(choices), figures, within))
        return within

    def evaluation(self, choices: StagePrecisions) -> Evaluation:
        """The evaluation of choices that were measured, frame by frame."""
        return self.evaluations[_key(choices)]

    def run(self) -> dict[str, StagePrecision]:
        """Find the lowest choices within the limits; if there are none, return the last ones tried.

        Starts with all stages low. If that is beyond the limits, the stage with the largest loss alone is raised. If
        that suffices, only as few of its parts as necessary are raised, those with the largest error on recorded inputs
        first; otherwise the next stage is raised as well.
        """
        chosen = self.lowered.lowest()
        fits = self.attempt("every stage low", chosen)
        self._measure_alone(chosen)
        for stage in self._costliest_first():
            if fits:
                break
            raised = {**chosen, stage: StagePrecision(self.lowered.precision.higher)}
            fits = self.attempt(f"{stage} higher: largest loss of the low stages", raised)
            chosen = self._fewest_groups(chosen, stage) or raised if fits else raised
        return chosen

    def _measure_alone(self, lowest: Mapping[str, StagePrecision]) -> None:
        for stage, choice in lowest.items():
            if choice != FULL:
                only = {name: choice if name == stage else FULL for name in lowest}
                self.attempt(f"{stage} low, all others FP32", only)
                self.alone[stage] = self.trials[-1].figures

    def _costliest_first(self) -> list[str]:
        return sorted(self.alone, key=lambda stage: -self.bound.excess(self.alone[stage]))

    def _fewest_groups(self, chosen: Mapping[str, StagePrecision], stage: str) -> dict[str, StagePrecision] | None:
        """The stage with the fewest groups kept higher to be within the limits; None if all of them are needed."""
        order = self._worst_groups_first(stage)
        count = 1
        while count < len(order):
            kept = StagePrecision(self.lowered.precision, tuple(sorted(order[:count])))
            tried = {**chosen, stage: kept}
            if self.attempt(f"{stage} low except its {count} worst of {len(order)} parts", tried):
                return tried
            count *= 2
        return None

    def _worst_groups_first(self, stage: str) -> list[str]:
        """The groups of the stage, in order of descending error of each alone."""
        groups = self.lowered.groups(stage)

        def error(group: str) -> float:
            others = tuple(sorted(set(groups) - {group}))
            return self.lowered.relative_error(stage, StagePrecision(self.lowered.precision, others))

        errors = {group: error(group) for group in groups}
        return sorted(groups, key=lambda group: -errors[group])


def _key(choices: StagePrecisions) -> tuple[tuple[str, StagePrecision], ...]:
    return tuple(sorted(choices.items(), key=lambda item: item[0]))
