"""The latency and the loss of points that were not run, from what was measured of stages and of knobs alone."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import msgspec
import numpy as np
from masklet.calibration.tuning.models import Key, Models
from masklet.calibration.tuning.point import Point
from masklet.calibration.tuning.stage_times import ATTENTION, FormTimes, ModelTimes
from masklet.calibration.tuning.trial import Outcome
from masklet.runtime.tracking.memory_detail import BlockMemory, MemoryDetail

ORT = "onnxruntime"
ON_DETECTIONS = ("detector", "mask_head")  # stages that rest with the detector


@dataclass
class Prediction:
    """What is known, and what follows from it.

    times: of each model.
    alone: outcomes of points that differ from the exact one in one knob, by knob.
    found: outcomes of all points that were tried.
    """

    models: Models
    times: Mapping[Key, ModelTimes]
    alone: dict[str, list[Outcome]] = field(default_factory=dict)
    found: dict[Point, Outcome] = field(default_factory=dict)
    _ratios: dict[tuple[Key, str], list[float]] = field(default_factory=dict)

    def add(self, outcome: Outcome, knob: str | None = None) -> None:
        """Take up an outcome; a proved one in place of one that was not. knob: the one that it turns alone."""
        point, known = outcome.point, self.found.get(outcome.point)
        if known is None or outcome.proved or not known.proved:
            self.found[point] = outcome
        if knob is not None:
            self.alone.setdefault(knob, []).append(outcome)
        ratio = outcome.times.mean / max(self._sum_ms(point), 1e-6)
        self._ratios.setdefault(_graphs(point), []).append(ratio)

    def stages(self, point: Point) -> dict[str, float]:
        """Milliseconds of each stage on a frame that is segmented, as they were timed by themselves."""
        times, place = self.times[point.bundle, point.form], self.models.place(point)
        tokens = self._memories(point) * self._tokens(point)
        found = {}
        for stage, forms in times.stages.items():
            form = _named(forms, place.get(stage, ORT))
            share = 1 / point.detection if stage in ON_DETECTIONS else 1.0
            found[stage] = share * form.ms(tokens if stage == ATTENTION else 0)
        return found

    def ms(self, point: Point) -> float:
        """Milliseconds of a frame, on average.

        The sum of its stages, times what points on the same graphs, or else all points, took of such a sum: stages in
        turn take longer than each by itself, whose weights stay in the cache.
        """
        ratios = self._ratios.get(_graphs(point)) or [one for some in self._ratios.values() for one in some] or [1.0]
        return self._sum_ms(point) * statistics.median(ratios)

    def loss(self, point: Point) -> float:
        """Points of accuracy lost: those that were measured, or the sum of what each of its knobs loses alone."""
        if point in self.found:
            return self.found[point].loss
        exact = self.models.exact
        base = self.found[exact].loss if exact in self.found else 0.0
        return base + sum(self._loss_alone(point, knob) - base for knob in self._changed(point))

    def timed(self, point: Point) -> bool:
        """Whether the stages of its model were timed."""
        return (point.bundle, point.form) in self.times

    def knows(self, point: Point) -> bool:
        """Whether its share of frames that are segmented is known."""
        return point.update == 1 or bool(self._decoded(point.update))

    def _sum_ms(self, point: Point) -> float:
        times = self.times[point.bundle, point.form]
        share = statistics.mean(self._decoded(point.update) or [1.0])
        return share * (sum(self.stages(point).values()) + times.host_ms) + (1 - share) * times.idle_ms

    def _changed(self, point: Point) -> list[str]:
        exact = self.models.exact
        differs = {
            "size": not point.bundle and point.form.removesuffix("-foveated") != exact.form,
            "bundle": point.bundle != exact.bundle,
            "memory": point.detail != exact.detail,
            "frames": point.frames != exact.frames,
            "pointers": point.pointers != exact.pointers,
            "update": point.update != exact.update,
            "detection": point.detection != exact.detection,
            "numerics": point.numerics != exact.numerics,
        }
        return [knob for knob, is_other in differs.items() if is_other]

    def _loss_alone(self, point: Point, knob: str) -> float:
        """What a knob loses at this choice, or at the nearest that was tried."""
        tried = self.alone.get(knob, [])
        if not tried:
            return 0.0
        return min(tried, key=lambda outcome: self._distance(outcome.point, point, knob)).loss

    def _distance(self, one: Point, other: Point, knob: str) -> float:
        if knob in ("size", "bundle"):
            return float((one.bundle, one.form) != (other.bundle, other.form.removesuffix("-foveated")))
        if knob == "memory":
            shares = [self._tokens(p) / np.prod(self._map(p)) for p in (one, other)]
            kinds = [(p.detail or "").partition(":")[0] for p in (one, other)]
            return abs(shares[0] - shares[1]) + float(kinds[0] != kinds[1])
        mine, theirs = (msgspec.structs.asdict(p)[knob] for p in (one, other))
        return 0.0 if mine == theirs else abs((mine or 99) - (theirs or 99)) if isinstance(mine or theirs, int) else 1.0

    def _decoded(self, update: int) -> list[float]:
        """The shares of frames that were segmented at an update interval."""
        return [1.0] if update == 1 else [o.times.decoded for o in self.found.values() if o.point.update == update]

    def _memories(self, point: Point) -> int:
        """Memories that are attended when the bank is full."""
        times = self.times[point.bundle, point.form]
        recent = times.recent if point.frames is None else min(point.frames, times.recent)
        if point.update > 1:
            recent = -(-recent // point.update)  # only frames that were segmented are there
        return max(1, times.memories - times.recent + recent)

    def _tokens(self, point: Point) -> int:
        """Tokens of a memory."""
        rows, columns = self._map(point)
        if point.detail is None:
            shape = self.models.bundle((point.bundle, point.form)).model.stage(ATTENTION).inputs[1].shape
            return int(shape[2]) if isinstance(shape[2], int) else rows * columns
        return _tokens_of(rows, columns, point.detail)

    def _map(self, point: Point) -> tuple[int, int]:
        return self.models.bundle((point.bundle, point.form)).model.feature_hw


def _graphs(point: Point) -> tuple[Key, str]:
    """What decides the graphs of a point and where they run."""
    return (point.bundle, point.form), point.numerics


@cache
def _tokens_of(rows: int, columns: int, detail: str) -> int:
    return BlockMemory(rows, columns, MemoryDetail.parse(detail)).tokens


def _named(forms: Sequence[FormTimes], name: str) -> FormTimes:
    """A backend's times; those of the first one where it has none."""
    return next((form for form in forms if form.name == name), forms[0])
