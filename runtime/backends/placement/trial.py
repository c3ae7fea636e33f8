"""Candidates for a stage, timed on the feeds of a call, within a budget that the whole run shares."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np
from masklet.runtime.backends.output_error import output_error
from masklet.runtime.backends.placement.candidates import Candidate
from masklet.runtime.backends.session import Feeds, Session
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.errors import MaskletError, SessionError

BUDGET_S = 10.0
HOPELESS = 1.5  # times as slow as the fastest: closed at once
COMPILING_S = 1.0  # of a first call, which may compile
ROUNDS = 9  # of those that are near each other, taking turns
NEAR_S = 1.0  # for which they take turns at most
QUICK_S = 0.05  # calls that are this short are timed whatever is left of the budget
SANE = 0.3  # relative error of a candidate's best output beyond which it computes something else
REFERENCE = "onnxruntime"

Clock = Callable[[], float]  # seconds
Guard = Callable[[str], AbstractContextManager[None]]  # around what may end the process, by the candidate's name


@dataclass
class Budget:
    """Seconds that choosing may take beyond what a run takes that knows the choice."""

    left_s: float = BUDGET_S
    clock: Clock = time.perf_counter


@dataclass
class Timed:
    """A candidate that ran. seconds: of its fastest call; opening_s: until its first call was done."""

    candidate: Candidate
    session: Session | None
    outputs: Mapping[str, Tensor]
    seconds: float
    opening_s: float

    def close(self) -> None:
        if self.session is not None:
            self.session.close()
        self.session = None


@dataclass
class StageTrial:
    """Times the candidates of one stage; `run` leaves none open but the winner.

    guard: around the first use of each candidate.
    timed: what was timed, by name. out: why other candidates were not, or are not to be taken.
    """

    bundle: Bundle
    stage: StageSpec
    budget: Budget
    guard: Guard
    timed: dict[str, Timed] = field(default_factory=dict)
    out: dict[str, str] = field(default_factory=dict)

    def run(self, candidates: Sequence[Candidate], feeds: Feeds) -> tuple[Candidate, Session]:
        """The fastest candidate, open. feeds: of the sizes that matter.

        Raises SessionError where none of them can run the stage.
        """
        begun = self.budget.clock()
        for candidate in candidates:
            reason = self._reason_not_to(candidate, self.budget.clock() - begun)
            if reason is None:
                self._time(candidate, feeds)
            else:
                self.out[candidate.form.name] = reason
        self._take_turns(feeds)
        self._leave_out_insane()
        winner = self._fastest()
        for name, each in self.timed.items():
            if name != winner.candidate.form.name:
                each.close()
        session = winner.session or winner.candidate.backend.open(self.bundle, self.stage)
        self.budget.left_s -= self.budget.clock() - begun - winner.opening_s
        return winner.candidate, session

    def _reason_not_to(self, candidate: Candidate, spent_s: float) -> str | None:
        """Why a candidate is not worth its time; None where it is."""
        if not self.timed:
            return None
        best = self._fastest()
        if best.seconds <= QUICK_S:
            return None
        lower = next(
            (t.candidate for t in self.timed.values() if t.candidate.backend_name == candidate.backend_name), None
        )
        if lower is not None:
            return f"not timed: {lower.form.name} is proved, and computes in fewer bits"
        expected_s = best.opening_s + HOPELESS * best.seconds
        if spent_s - best.opening_s + expected_s <= self.budget.left_s:
            return None
        return f"not timed: choosing may take {BUDGET_S:.0f} s"

    def _time(self, candidate: Candidate, feeds: Feeds) -> None:
        """Open, run once, and once more where that was no slower than the fastest."""
        name, clock = candidate.form.name, self.budget.clock
        begun = clock()
        try:
            with self.guard(name):
                session = candidate.backend.open(self.bundle, self.stage)
                opened = clock()
                outputs = _run(session, feeds)
        except MaskletError as error:
            self.out[name] = str(error)
            return
        first = Timed(candidate, session, outputs, clock() - opened, clock() - begun)
        best_s = min((each.seconds for each in self.timed.values()), default=np.inf)
        self.timed[name] = first
        if first.seconds <= min(HOPELESS * best_s + COMPILING_S, self.budget.left_s):
            self._again(first, feeds)
        for each in self.timed.values():
            if each.seconds > HOPELESS * self._fastest().seconds:
                each.close()

    def _take_turns(self, feeds: Feeds) -> None:
        """Time those that are near each other again, one after the other."""
        near = [each for each in self.timed.values() if each.session is not None]
        begun, round_s = self.budget.clock(), sum(each.seconds for each in near)
        for done in range(ROUNDS if len(near) > 1 else 0):
            if self.budget.clock() - begun + round_s > NEAR_S and done:
                break
            for each in near:
                self._again(each, feeds)

    def _again(self, each: Timed, feeds: Feeds) -> None:
        if each.session is not None:
            begun = self.budget.clock()
            _run(each.session, feeds)
            each.seconds = min(each.seconds, self.budget.clock() - begun)

    def _leave_out_insane(self) -> None:
        """Leave out candidates none of whose outputs is near the reference's.

        None: where a stage chooses among masks, rounding alone may choose another.
        """
        wanted = self.timed[REFERENCE].outputs if REFERENCE in self.timed else {}
        for name, each in list(self.timed.items()):
            errors = [output_error(each.outputs[output], want).relative for output, want in wanted.items()]
            if errors and min(errors) > SANE:
                self.out[name] = f"its outputs are not those of {REFERENCE}: relative error {min(errors):.1e}"
                self.timed.pop(name).close()

    def _fastest(self) -> Timed:
        if not self.timed:
            raise nothing_runs(self.stage, self.out)
        return min(self.timed.values(), key=lambda each: each.seconds)


def nothing_runs(stage: StageSpec, out: Mapping[str, str]) -> SessionError:
    """The error where no candidate is left. out: why, by name."""
    reasons = "; ".join(f"{name}: {why}" for name, why in out.items())
    return SessionError(f"stage {stage.name!r}: nothing can run it here: {reasons}")


def _run(session: Session, feeds: Feeds) -> dict[str, Tensor]:
    """Run, and wait for what was left on a device."""
    return {name: np.asarray(output) for name, output in session.run(feeds).items()}
