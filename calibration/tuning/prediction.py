"""The latency and the loss of points that were not run, from what was measured of stages and of knobs alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from masklet.calibration.tuning.models import Key, Models
from masklet.calibration.tuning.point import Point
from masklet.calibration.tuning.stage_times import ATTENTION, FormTimes, ModelTimes
from masklet.calibration.tuning.trial import Outcome
from masklet.runtime.tracking.memory_detail import BlockMemory, MemoryDetail

ORT = "onnxruntime"


@dataclass
class Prediction:
    """What is known, and what follows from it.

    times:   of each model.
    alone:   outcomes of points that differ from the exact one in one knob, by knob.
    found:   outcomes of all points that were tried.
    decoded: the share of frames that a tracker segments, by update interval.
    """

    models: Models
    times: Mapping[Key, ModelTimes]
    alone: dict[str, list[Outcome]] = field(default_factory=dict)
    found: dict[Point, Outcome] = field(default_factory=dict)

    def add(self, outcome: Outcome, knob: str | None = None) -> None:
        """Take up an outcome; that of all clips in place of that of a part."""
        known = self.found.get(outcome.point)
        if known is None or outcome.whole or not known.whole:
            self.found[outcome.point] = outcome
        if knob is not None:
            self.alone.setdefault(knob, []).append(outcome)

    def stages(self, point: Point) -> dict[str, float]:
        """Milliseconds of each stage on a frame on which all run."""
        times, place = self.times[point.bundle, point.form], self.models.place(point)
        tokens = self._memories(point) * self._tokens(point)
        found = {}
        for stage, forms in times.stages.items():
            form = _named(forms, place.get(stage, ORT))
            share = 1 / point.detection if stage in ("detector", "mask_head") else 1.0
            found[stage] = share * form.ms(tokens if stage == ATTENTION else 0)
        return found

    def ms(self, point: Point) -> float:
        """Milliseconds of a frame, on average."""
        times = self.times[point.bundle, point.form]
        share = self._decoded(point.update)
        return share * (sum(self.stages(point).values()) + times.host_ms) + (1 - share) * times.idle_ms

    def loss(self, point: Point) -> float:
        """Points of accuracy lost: those that were measured, or the sum of what each of its knobs loses alone."""
        if point in self.found:
            return self.found[point].loss
        exact = self.models.exact
        base = self.found[exact].loss if exact in self.found else 0.0
        return base + sum(self._loss_alone(point, knob) - base for knob in self._changed(point))

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

    def _decoded(self, update: int) -> float:
        """The share of frames that are segmented at an update interval."""
        if update == 1:
            return 1.0
        tried = [o for o in (*self.alone.get("update", ()), *self.found.values()) if o.point.update == update]
        return float(np.mean([o.times.decoded for o in tried])) if tried else 1.0

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
            shape = self.models.bundle((point.bundle, point.form)).model.stage("memory_attention").inputs[1].shape
            return int(shape[2]) if isinstance(shape[2], int) else rows * columns
        return BlockMemory(rows, columns, MemoryDetail.parse(point.detail)).tokens

    def _map(self, point: Point) -> tuple[int, int]:
        return self.models.bundle((point.bundle, point.form)).model.feature_hw


def _named(forms: Sequence[FormTimes], name: str) -> FormTimes:
    """A backend's times; those of the first one where it has none."""
    return next((form for form in forms if form.name == name), forms[0])
