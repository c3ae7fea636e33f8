"""The search: stages timed, knobs tried alone, promising points on a part of the clips, the best of them on all."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from masklet.calibration.clips.clips import Clip
from masklet.calibration.scoring.closed_loop import Evaluation
from masklet.calibration.tuning.journal import Journal
from masklet.calibration.tuning.knobs import Knobs
from masklet.calibration.tuning.models import Models
from masklet.calibration.tuning.point import BF16, FP32, Point
from masklet.calibration.tuning.prediction import Prediction
from masklet.calibration.tuning.stage_times import fastest, measure
from masklet.calibration.tuning.trial import Clock, Outcome, Trial

NEAR = 8  # points near the budget that are tried on a part of the clips
LEVELS = 6  # latencies from the fastest to the exact pipeline at which the front is tried
FINALISTS = 4  # points within the budget that are tried on all clips
SLACK = 1.05  # times the budget that a predicted latency may have to be tried
TIE = 0.1  # points of accuracy within which the faster of two points is better

Tell = Callable[[str, int, int | None], None]  # what is done, how much of it, of how much


@dataclass(frozen=True)
class Goal:
    """What is asked for. target_ms: of a frame, on average. max_loss: points of accuracy that may be lost.

    seconds: within which the search ends.
    """

    target_ms: float
    max_loss: float
    seconds: float

    def fits(self, outcome: Outcome) -> bool:
        """Whether a point is fast and accurate enough."""
        return outcome.times.mean <= self.target_ms and outcome.loss <= self.max_loss


@dataclass
class Search:
    """A search and what it has found.

    best: evaluations of points that were tried on all clips; their worst frames are shown.
    """

    models: Models
    knobs: Knobs
    trial: Trial
    goal: Goal
    journal: Journal
    tell: Tell
    clock: Clock = time.perf_counter
    best: dict[Point, Evaluation] = field(default_factory=dict)
    prediction: Prediction = field(init=False)
    predicted_ms: dict[Point, float] = field(default_factory=dict)

    def run(self, clips: Sequence[Clip], exact: Outcome) -> None:
        """Search until the points that matter are known, or the time is over. exact: of the exact pipeline."""
        self._end = self.clock() + self.goal.seconds
        self._measure_stages(clips[0])
        self.prediction = Prediction(self.models, self.journal.times)
        self.prediction.add(exact)
        for knob, point in self.knobs.alone(self.models):
            self._try([point], whole=False, knob=knob)
        points = self.knobs.points(self.models)
        self.predicted_ms = {point: self.prediction.ms(point) for point in points}
        self._try(self._promising(points), whole=False)
        self._try(self._finalists(points), whole=True)

    @property
    def outcomes(self) -> list[Outcome]:
        """What is known of every point that was tried, the fastest first."""
        return sorted(self.prediction.found.values(), key=lambda outcome: outcome.times.mean)

    @property
    def exact(self) -> Outcome:
        """The outcome of the exact pipeline."""
        return self.prediction.found[self.models.exact]

    def chosen(self) -> Outcome | None:
        """The most accurate point that is fast and accurate enough; of nearly equal ones the fastest."""
        fitting = [outcome for outcome in self.outcomes if self.goal.fits(outcome)]
        known = [outcome for outcome in fitting if outcome.whole] or fitting
        if not known:
            return None
        least = min(outcome.loss for outcome in known)
        return next(outcome for outcome in known if outcome.loss <= least + TIE)

    def front(self) -> list[Outcome]:
        """The points than which no other is both faster and more accurate, the fastest first."""
        front: list[Outcome] = []
        for outcome in reversed(self.outcomes):  # from the slowest on, each that loses less than all faster ones
            faster = [other for other in self.outcomes if other.times.mean < outcome.times.mean]
            if all(outcome.loss < other.loss for other in faster):
                front.append(outcome)
        return front[::-1]

    def _measure_stages(self, clip: Clip) -> None:
        names = self.models.names()
        for done, key in enumerate(names):
            if key not in self.journal.times:
                told = partial(self._timing, done, len(names))
                times = measure(self.models, key, clip, told, self.clock)
                self.journal.keep_times(key, times)
            for numerics in (FP32, BF16):
                place = fastest(self.journal.times[key], bf16=numerics == BF16)
                self.models.places[key, numerics] = place

    def _timing(self, done: int, of: int, what: str) -> None:
        self.tell(f"timing {what}", done, of)

    def _promising(self, points: Sequence[Point]) -> list[Point]:
        """The likely best near the budget, and at several latencies from the fastest to the exact pipeline."""
        ms, loss = self.predicted_ms, {point: self.prediction.loss(point) for point in points}

        def best(allowed: Iterable[Point], count: int) -> list[Point]:
            return sorted(allowed, key=lambda point: (loss[point], ms[point]))[:count]

        near = best((point for point in points if ms[point] <= SLACK * self.goal.target_ms), NEAR)
        fastest_first = sorted(points, key=lambda point: ms[point])
        levels = np.geomspace(max(ms[fastest_first[0]], 1e-3), max(ms[self.models.exact], 1e-3), LEVELS)
        front = [one for level in levels for one in best((p for p in points if ms[p] <= level * 1.001), 1)]
        return list(dict.fromkeys([*near, *front, fastest_first[0]]))

    def _finalists(self, points: Sequence[Point]) -> list[Point]:
        """Of what was tried, the best within the budget, and the rest of the front."""
        tried = [outcome for outcome in self.outcomes if outcome.point != self.models.exact]
        within = sorted((o for o in tried if o.times.mean <= self.goal.target_ms), key=lambda o: (o.loss, o.times.mean))
        return list(dict.fromkeys(o.point for o in [*within[:FINALISTS], *self.front()]))

    def _try(self, points: Sequence[Point], *, whole: bool, knob: str | None = None) -> None:
        """Try points that are not known yet, as long as there is time."""
        for point in points:
            known = self.journal.outcomes.get((point, whole)) or self.journal.outcomes.get((point, True))
            if known is None:
                if self.clock() + self._expected_s(point, whole) > self._end:
                    continue
                known, evaluation = self.trial.run(point, whole=whole, progress=self._told(point, whole))
                if whole:
                    self.best[point] = evaluation
                self.journal.keep(known)
            self.prediction.add(known, knob)

    def _expected_s(self, point: Point, whole: bool) -> float:
        """How long a trial takes, by the frames of the exact one."""
        return self.exact.figures.frames * (1 if whole else 0.4) * self.prediction.ms(point) / 1e3

    def _told(self, point: Point, whole: bool) -> Callable[[int], None]:
        done, left = 0, max(0, round(self._end - self.clock()))
        what = f"{point}{'' if whole else ', a part of the clips'} (at most {left // 60 + 1} min more)"

        def told(frames: int) -> None:
            nonlocal done
            done += frames
            self.tell(what, done, None)

        return told
