"""Searches over models whose cost is made up by formulas that the search does not know."""

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from masklet.calibration.clips.clips import Clip
from masklet.calibration.scoring.closed_loop import Evaluation, Figures
from masklet.calibration.tuning.journal import Journal
from masklet.calibration.tuning.knobs import Knobs
from masklet.calibration.tuning.models import Key, Models
from masklet.calibration.tuning.point import Point
from masklet.calibration.tuning.search import Goal, Search
from masklet.calibration.tuning.stage_times import FormTimes, ModelTimes
from masklet.calibration.tuning.trial import Outcome, Times, Trial
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.prompts.prompts import Points
from masklet.runtime.tracking.memory_detail import BlockMemory, MemoryDetail

SIZES = {"128": 1.0, "128-foveated": 1.0, "64-foveated": 0.3}  # times the time of the first one
SPEEDS = {"exact": 1.0, "fp32": 0.9, "bf16": 0.55}
HALVED, THIRD = 0.55, 0.4  # shares of frames segmented at update intervals 2 and 3
PER_TOKEN = 0.05  # milliseconds of memory attention
CLIPS = [Clip(f"clip{n}", {0: {1: Points.click(1, 1)}}, {}) for n in range(3)]
OVERHEAD = 1.2  # stages in turn against each by itself


def memory_tokens(models: Models, point: Point) -> int:
    rows, columns = models.bundle((point.bundle, point.form)).model.feature_hw
    detail = MemoryDetail.parse(point.detail or "whole")
    recent = 6 if point.frames is None else point.frames
    recent = -(-recent // point.update)
    return BlockMemory(rows, columns, detail).tokens * (1 + recent)


def true_ms(models: Models, point: Point) -> float:
    """The time of a frame, by a formula that the search does not know."""
    segmented = {1: 1.0, 2: HALVED, 3: THIRD}[point.update]
    stages = SIZES[point.form] * 30 + PER_TOKEN * memory_tokens(models, point)
    wobble = 1 + 0.03 * np.sin(zlib.crc32(str(point).encode()))
    return float(OVERHEAD * wobble * (segmented * (SPEEDS[point.numerics] * stages + 2) + (1 - segmented) * 2))


def true_loss(models: Models, point: Point) -> float:
    """Points lost: nearly a sum over knobs, with an interaction of small frames and coarse memories."""
    rows, columns = models.bundle((point.bundle, point.form)).model.feature_hw
    kept = memory_tokens(models, Point(point.form, detail=point.detail)) / (7 * rows * columns)
    small = point.form.startswith("64")
    lost = 2.0 * small + 3 * (1 - kept) ** 2 * (1.3 if small else 1.0) + 0.1 * (point.numerics == "bf16")
    lost += {None: 0, 3: 0.1, 2: 0.3, 1: 0.6}[point.frames] + {1: 0, 2: 1.2, 3: 2.5}[point.update]
    return lost + 0.05 * (point.pointers is not None)


class MadeUp(Trial):
    """Runs nothing. later: what a point loses on the clips that prove beyond what it loses on the others."""

    tried: list[tuple[Point, bool]]
    later: Callable[[Point], float]

    def run(self, point: Point, *, proved: bool, progress: Callable[[int], None]) -> tuple[Outcome, Evaluation]:
        self.tried.append((point, proved))
        progress(1)
        return outcome_of(self.models, point, proved, self.later(point) if proved else 0), Evaluation([], [])


def outcome_of(models: Models, point: Point, proved: bool, more: float = 0) -> Outcome:
    lost = 0.0 if point == models.exact else true_loss(models, point) + more
    figures = Figures(60, 1 - lost / 100, 0.5, 0.0, 0, 0, jf=80 - lost, jf_fp32=80.0)
    share = {1: 1.0, 2: HALVED, 3: THIRD}[point.update]
    ms = true_ms(models, point)
    return Outcome(point, figures, Times(ms, ms, share, 60, {"image_encoder": ms}), proved)


def stage_times(models: Models, key: Key) -> ModelTimes:
    """What timing each stage by itself would say."""
    _, form = key
    rows, columns = models.bundle(key).model.feature_hw
    cells = rows * columns
    stages = {}
    for stage, ms in (("image_encoder", 27.0), ("memory_attention", 0.0), ("mask_decoder", 3.0)):
        stages[stage] = [
            FormTimes(
                name,
                bf16,
                [(n * cells, speed * PER_TOKEN * n * cells) for n in (2, 7)]
                if stage == "memory_attention"
                else [(0, speed * SIZES[form] * ms)],
            )
            for name, bf16, speed in (
                ("onnxruntime", False, SPEEDS["exact"]),
                ("openvino", False, SPEEDS["fp32"]),
                ("openvino:bf16", True, SPEEDS["bf16"]),
            )
        ]
    return ModelTimes(stages, 2.0, 2.0, 7, 6)


def made(
    bundle: Path,
    folder: Path,
    target_ms: float,
    *,
    max_loss: float = 1.0,
    end_s: float = 1e9,
    clock: Callable[[], float] = lambda: 0.0,
    later: Callable[[Point], float] = lambda point: 0.0,
) -> tuple[Search, MadeUp]:
    models = Models([Bundle.load(bundle, check_hashes=False)], 1)
    folder.mkdir(exist_ok=True)
    journal = Journal(folder / "journal.jsonl", "a request")
    for key in models.names():
        if key not in journal.times:
            journal.keep_times(key, stage_times(models, key))
    trial = MadeUp(models, CLIPS, [])
    trial.tried, trial.later = [], later
    knobs = Knobs.of(models.bundles[0].model, phrases=False)
    goal = Goal(target_ms, max_loss)
    return Search(models, knobs, trial, goal, journal, lambda *said: None, end_s, clock), trial


def run(search: Search) -> None:
    search.run(CLIPS, outcome_of(search.models, search.models.exact, proved=True))


def models_exact_ms(bundle: Path) -> float:
    """The time of the exact pipeline of a bundle."""
    models = Models([Bundle.load(bundle, check_hashes=False)], 1)
    return true_ms(models, models.exact)
