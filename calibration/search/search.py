"""Which stages, and which parts of them, can be at a low precision: found in closed loop on the clips."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from masklet.calibration.graphs.low_precision import FULL, Choice, Choices
from masklet.calibration.scoring.closed_loop import Bound, Evaluation, Figures
from masklet.calibration.search.variants import Variants

Judge = Callable[[str, Choices], Evaluation]  # is told what is tried and why


class Trial(msgspec.Struct, frozen=True):
    """What was tried, why, and what it came to."""

    why: str
    choices: dict[str, Choice]
    figures: Figures
    within: bool


@dataclass
class Search:
    """Tries choices and keeps the evidence.

    alone: the figures of each stage lowered while all others are FP32.
    """

    variants: Variants
    judge: Judge
    bound: Bound
    trials: list[Trial] = field(default_factory=list)
    alone: dict[str, Figures] = field(default_factory=dict)
    evaluations: dict[tuple[tuple[str, Choice], ...], Evaluation] = field(default_factory=dict)

    def attempt(self, why: str, choices: Choices) -> bool:
        """Measure choices in closed loop; whether they are within the bound."""
        key = _key(choices)
        if key not in self.evaluations:
            self.evaluations[key] = self.judge(why, choices)
        figures = self.evaluations[key].figures
        within = self.bound.holds(figures)
        self.trials.append(Trial(why, dict(choices), figures, within))
        return within

    def evaluation(self, choices: Choices) -> Evaluation:
        """What measured choices came to, frame by frame."""
        return self.evaluations[_key(choices)]

    def run(self) -> dict[str, Choice]:
        """Find the lowest choices within the bound; the last ones tried where there are none.

        All stages low at first. Beyond the bound, the stage that costs most alone goes up; where that suffices, as few
        of its parts as will do, the worst on real feeds first; else the next stage follows.
        """
        chosen = self.variants.lowest()
        fits = self.attempt("every stage low", chosen)
        self._measure_alone(chosen)
        for stage in self._costliest_first():
            if fits:
                break
            raised = {**chosen, stage: Choice(self.variants.precision.higher)}
            fits = self.attempt(f"{stage} higher: it costs most of those that are low", raised)
            chosen = self._fewest_groups(chosen, stage) or raised if fits else raised
        return chosen

    def _measure_alone(self, lowest: Mapping[str, Choice]) -> None:
        for stage, choice in lowest.items():
            if choice != FULL:
                only = {name: choice if name == stage else FULL for name in lowest}
                self.attempt(f"{stage} low, all others FP32", only)
                self.alone[stage] = self.trials[-1].figures

    def _costliest_first(self) -> list[str]:
        return sorted(self.alone, key=lambda stage: -self.bound.excess(self.alone[stage]))

    def _fewest_groups(self, chosen: Mapping[str, Choice], stage: str) -> dict[str, Choice] | None:
        """The stage low but for as few groups as bring it within the bound; None where only all of them do."""
        order = self._worst_groups_first(stage)
        count = 1
        while count < len(order):
            kept = Choice(self.variants.precision, tuple(sorted(order[:count])))
            tried = {**chosen, stage: kept}
            if self.attempt(f"{stage} low but for its {count} worst of {len(order)} parts", tried):
                return tried
            count *= 2
        return None

    def _worst_groups_first(self, stage: str) -> list[str]:
        """The stage's groups by the error that each makes alone."""
        groups = self.variants.groups(stage)

        def error(group: str) -> float:
            others = tuple(sorted(set(groups) - {group}))
            return self.variants.relative_error(stage, Choice(self.variants.precision, others))

        errors = {group: error(group) for group in groups}
        return sorted(groups, key=lambda group: -errors[group])


def _key(choices: Choices) -> tuple[tuple[str, Choice], ...]:
    return tuple(sorted(choices.items(), key=lambda item: item[0]))
