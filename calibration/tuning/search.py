"""The search: stages timed, knobs tried alone, promising points on some clips, the best of them proved on others."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import msgspec
import numpy as np
from masklet.calibration.clips.clips import Clip
from masklet.calibration.progress import Tell
from masklet.calibration.scoring.closed_loop import Evaluation
from masklet.calibration.tuning.journal import Journal
from masklet.calibration.tuning.knobs import Knobs
from masklet.calibration.tuning.models import Models
from masklet.calibration.tuning.point import BF16, FP32, Point
from masklet.calibration.tuning.prediction import Prediction
from masklet.calibration.tuning.stage_times import fastest, measure
from masklet.calibration.tuning.threads import fewest_threads, thread_counts, time_threads
from masklet.calibration.tuning.trial import Clock, Outcome, Trial, with_threads

NEAR = 8  # points near the budget that are tried on the clips that are searched, in each round
ROUNDS = 3  # after each, predictions are better
LEVELS = 6  # latencies from the fastest to the exact pipeline at which the front is tried
FINALISTS = 4  # points within the budget that are proved
SLACK = 1.05  # times the budget that a predicted latency may have to be tried
TIE = 0.1  # points of accuracy within which the faster of two points is better
ALONE, PROMISING, PROVING = 0.4, 0.7, 0.95  # shares of the time at which a part of the search ends
SEARCHED = 1 / 3  # usual share of frames that are searched


@dataclass(frozen=True)
class Goal:
    """What is asked for. target_ms: of a frame, on average. max_loss: points of accuracy that may be lost."""

    target_ms: float
    max_loss: float

    def fits(self, outcome: Outcome) -> bool:
        """Whether a point is fast and accurate enough."""
        return outcome.times.mean <= self.target_ms and outcome.loss <= self.max_loss


@dataclass
class Search:
    """A search and what it has found.

    end_s: of `clock`, when the search ends; what takes longer is left out.
    """

    models: Models
    knobs: Knobs
    trial: Trial
    goal: Goal
    journal: Journal
    tell: Tell
    end_s: float
    clock: Clock = time.perf_counter
    prediction: Prediction = field(init=False)
    _settled: dict[Point, Outcome] = field(default_factory=dict)
    _evaluations: dict[Point, Evaluation] = field(default_factory=dict)

    def run(self, clips: Sequence[Clip], exact: Outcome) -> None:
        """Search until the points that matter are known, or the time is over. exact: of the exact pipeline."""
        self._measure_stages(clips[0])
        self.prediction = Prediction(self.models, self.journal.times)
        self.prediction.add(exact)
        begun = self.clock()

        def until(share: float) -> float:
            return begun + share * (self.end_s - begun)

        later = [(NEAR + LEVELS, SEARCHED), (FINALISTS + LEVELS // 2, 1 - SEARCHED)]
        alone = [(knob, p) for knob, p in self.knobs.alone(self.models) if self.prediction.timed(p)]
        self._try(alone, until(ALONE), later)
        self._try([(None, point) for point in self._spread()], until(PROMISING), later)
        for _ in range(ROUNDS):
            self._try([(None, point) for point in self._near()], until(PROMISING), later[1:])
        self._try([(None, point) for point in self._finalists()], until(PROVING), [], proved=True)
        for outcome in sorted(self.outcomes, key=lambda outcome: outcome.loss):  # where none of those was good enough
            if any(each.proved and self.goal.fits(each) for each in self.outcomes):
                break
            if self.goal.fits(outcome):
                self._try([(None, outcome.point)], until(PROVING), [], proved=True)
        self._settle_threads(clips[0])

    def points(self) -> list[Point]:
        """Every point of the models whose stages were timed."""
        return [point for point in self.knobs.points(self.models) if self.prediction.timed(point)]

    @property
    def outcomes(self) -> list[Outcome]:
        """What is known of every point that was tried, the fastest first."""
        known = [self._settled.get(outcome.point, outcome) for outcome in self.prediction.found.values()]
        return sorted(known, key=lambda outcome: outcome.times.mean)

    @property
    def exact(self) -> Outcome:
        """The outcome of the exact pipeline."""
        return self.prediction.found[self.models.exact]

    def chosen(self) -> Outcome | None:
        """The most accurate point that is fast and accurate enough; of nearly equal ones the fastest."""
        fitting = [outcome for outcome in self.outcomes if self.goal.fits(outcome)]
        known = [outcome for outcome in fitting if outcome.proved] or fitting
        if not known:
            return None
        least = min(outcome.loss for outcome in known)
        return next(outcome for outcome in known if outcome.loss <= least + TIE)

    def front(self) -> list[Outcome]:
        """The points than which no other is both faster and more accurate, the fastest first.

        Of those that were proved, where there are others than the exact pipeline.
        """
        proved = [outcome for outcome in self.outcomes if outcome.proved]
        return _front(proved if len(proved) > 1 else self.outcomes)

    def evaluation(self, outcome: Outcome) -> Evaluation:
        """The scores and worst frames of a point; it runs again where an earlier command tried it."""
        if outcome.point not in self._evaluations:
            told = self._told(outcome.point, "again for its pictures", 0.0)
            _, self._evaluations[outcome.point] = self.trial.run(outcome.point, proved=outcome.proved, progress=told)
        return self._evaluations[outcome.point]

    def _measure_stages(self, clip: Clip) -> None:
        names = self.models.names()
        for done, key in enumerate(names):
            if done and self.clock() > self.end_s:
                break
            if key not in self.journal.times:
                times = measure(self.models, key, clip, partial(self._timing, done, len(names)), self.clock)
                self.journal.keep_times(key, times)
            for numerics in (FP32, BF16):
                place = fastest(self.journal.times[key], bf16=numerics == BF16)
                self.models.places[key, numerics] = place

    def _settle_threads(self, clip: Clip) -> None:
        """Take as few threads as are as fast, for the point that was chosen.

        Where nothing fits, for the fastest one that is accurate enough: it may fit with fewer threads.
        """
        accurate = (outcome for outcome in self.outcomes if outcome.loss <= self.goal.max_loss)
        outcome = self.chosen() or next(accurate, self.exact)
        counts, point = thread_counts(self.models.threads), outcome.point
        if len(counts) == 1 or point == self.models.exact or self.clock() > self.end_s:
            return
        if point not in self.journal.threads:
            told = self._told(point, "timing threads of", 0.0)
            self.journal.keep_threads(point, time_threads(self.models, point, clip, told, self.clock))
        ms, most = dict(self.journal.threads[point]), counts[-1]
        ms[most] = min(ms[most], outcome.times.mean)  # the trial ran with as many, over more frames
        count = fewest_threads(ms)
        if count != most:
            self._settled[point] = with_threads(outcome, count, ms[count] / ms[most])

    def _timing(self, done: int, of: int, what: str) -> None:
        self.tell(f"timing {what}", done, of)

    def _predicted(self) -> list[tuple[float, float, Point]]:
        """Loss and latency of every point, the most accurate first."""
        predict = self.prediction
        found = [(predict.loss(p), predict.ms(p), p) for p in self.points()]
        return sorted(found, key=lambda one: one[:2])

    def _spread(self) -> list[Point]:
        """The likely best at several latencies from the fastest to the exact pipeline."""
        points = self._predicted()
        fastest_ms, slowest_ms = min(ms for _, ms, _ in points), self.prediction.ms(self.models.exact)
        levels = np.geomspace(max(fastest_ms, 1e-3), max(slowest_ms, 1e-3), LEVELS)
        return list(dict.fromkeys(next(p for _, ms, p in points if ms <= level * 1.001) for level in levels))

    def _near(self) -> list[Point]:
        """Points that were not tried and are likely better than all that were, within the budget."""
        known = min((outcome.loss for outcome in self.outcomes if self.goal.fits(outcome)), default=math.inf)
        limit = SLACK * self.goal.target_ms
        near = (
            p
            for loss, ms, p in self._predicted()
            if ms <= limit and loss < known - TIE and p not in self.prediction.found
        )
        return list(islice(near, NEAR))

    def _finalists(self) -> list[Point]:
        """Of what was tried, the best within the budget, and the rest of the front."""
        tried = [outcome for outcome in self.outcomes if outcome.point != self.models.exact]
        within = sorted((o for o in tried if o.times.mean <= self.goal.target_ms), key=lambda o: (o.loss, o.times.mean))
        front = [outcome for outcome in _front(self.outcomes) if outcome.point != self.models.exact]
        return list(dict.fromkeys(o.point for o in [*within[:FINALISTS], *front]))

    def _try(
        self,
        points: Sequence[tuple[str | None, Point]],
        end_s: float,
        later: Sequence[tuple[int, float]],
        *,
        proved: bool = False,
    ) -> None:
        """Try points that are not known yet, as long as there is time.

        points: each with the knob that it turns alone. later: how many are to be tried then, on what share of frames.
        """
        after_s = sum(count * self._trial_s(self.models.exact, share) / 2 for count, share in later)
        share = 1 - SEARCHED if proved and len(self.trial.clips) > 1 else 1.0 if proved else SEARCHED
        left = [self._trial_s(point, share) for _, point in points]
        for number, (knob, point) in enumerate(points):
            outcome = self.journal.outcomes.get((point, proved)) or self.journal.outcomes.get((point, True))
            if outcome is None:
                if self.clock() + left[number] > end_s:
                    continue
                what = "proving" if proved else "trying"
                told = self._told(point, what, min(sum(left[number:]) + after_s, self.end_s - self.clock()))
                outcome = self._tried(point, proved, told)
            self.prediction.add(outcome, knob)

    def _tried(self, point: Point, proved: bool, told: Callable[[int], None]) -> Outcome:
        """Run a point, and keep its outcome."""
        known = self.prediction.found.get(point)
        predicted = self.prediction.ms(point) if self.prediction.knows(point) else None
        outcome, self._evaluations[point] = self.trial.run(point, proved=proved, progress=told)
        outcome = msgspec.structs.replace(outcome, predicted_ms=predicted if known is None else known.predicted_ms)
        self.journal.keep(outcome)
        return outcome

    def _trial_s(self, point: Point, share: float) -> float:
        """How long a trial takes on a share of the frames."""
        return share * self.exact.figures.frames * self.prediction.ms(point) / 1e3

    def _told(self, point: Point, what: str, left_s: float) -> Callable[[int], None]:
        done = 0

        def told(frames: int) -> None:
            nonlocal done
            done += frames
            minutes = f" (about {max(1, round(left_s / 60))} min left)" if left_s > 0 else ""
            self.tell(f"{what} {point}{minutes}", done, None)

        return told


def _front(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those than which no other is both faster and more accurate. outcomes: the fastest first."""
    front: list[Outcome] = []
    for outcome in outcomes:
        if not front or outcome.loss < front[-1].loss:
            front.append(outcome)
    return front
