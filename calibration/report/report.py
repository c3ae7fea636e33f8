"""The result of a calibration as data: report.json, and the summary for the manifest."""

from collections.abc import Sequence

import msgspec
from masklet.calibration.clips.clips import Clip
from masklet.calibration.graphs.low_precision import FULL, StagePrecision
from masklet.calibration.report.provenance import Provenance, provenance
from masklet.calibration.scoring.closed_loop import Bound, Evaluation, Figures
from masklet.calibration.search.lowered_stages import StageFigures
from masklet.calibration.search.search import Attempt, Search
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.describe import graph_bytes
from masklet.runtime.bundle.manifest import Calibration
from masklet.runtime.bundle.precision import Precision

SCHEMA = 1


class Report(msgspec.Struct, frozen=True):
    """The result of a calibration. Accuracy is over all clips, with all chosen stages together.

    alone:        by stage, accuracy with only that stage at low precision; empty without a search.
    fp32_tensors: by stage, tensors that stay FP32 because they may overflow in FP16, with their largest magnitude.
    curve:        mean IoU with FP32 by frames since the prompt.
    frames_iou:   (clip, frame, mean IoU with FP32).
    phrases:      phrases of the instances; empty if all objects were prompted.
    ran_on:       what ran the stages at the low precision, in words.
    """

    family: str
    variant: str
    checkpoint: str
    precision: Precision
    method: str
    seed: int
    sources: list[str]
    phrases: list[str]
    truth: bool
    bound: Bound
    within: bool
    figures: Figures
    stages: dict[str, StageFigures]
    alone: dict[str, Figures]
    trials: list[Attempt]
    fp32_tensors: dict[str, dict[str, float]]
    curve: list[tuple[int, float]]
    frames_iou: list[tuple[int, int, float]]
    bytes: int
    fp32_bytes: int
    made_with: dict[str, str]
    measured: Provenance | None = None
    ran_on: str = "ONNX Runtime"
    schema: int = SCHEMA

    @property
    def speed(self) -> float | None:
        """How many times as fast as FP32 one call of every stage is; None if none was timed."""
        if any(found.parity and found.ms is None for found in self.stages.values()):
            return None  # what ran stood in for a machine that computes so
        timed = [found for found in self.stages.values() if found.ms and found.fp32_ms]
        low = sum(found.ms or 0.0 for found in timed)
        return sum(found.fp32_ms or 0.0 for found in timed) / low if low else None

    @property
    def worst_stage(self) -> str:
        """The stage with the largest loss: measured alone in closed loop if available, otherwise on recorded inputs."""
        if self.alone:
            return max(self.alone, key=lambda stage: self.bound.excess(self.alone[stage]))
        return max(self.stages, key=lambda stage: self.stages[stage].worst)

    def summary(self) -> Calibration:
        """The summary for the manifest."""
        return Calibration(
            precision=self.precision,
            method=self.method,
            stages={stage: str(found.choice) for stage, found in self.stages.items()},
            frames=self.figures.frames,
            iou=self.figures.iou,
            jf=self.figures.jf,
            jf_fp32=self.figures.jf_fp32,
            max_drop=self.bound.max_drop,
            min_iou=self.bound.min_iou,
            within=self.within,
        )


def make_report(
    bundle: Bundle,
    search: Search,
    chosen: dict[str, StagePrecision],
    *,
    method: str,
    seed: int,
    clips: Sequence[Clip],
) -> Report:
    """Compare the chosen stages with FP32 and make the report."""
    lowered = search.lowered
    stages = lowered.compare(chosen)
    evaluation: Evaluation = search.evaluation(chosen)
    fp32_bytes = graph_bytes(bundle)
    saved = sum(found.fp32_bytes - found.bytes for found in stages.values())
    return Report(
        family=bundle.model.family,
        variant=bundle.model.variant,
        checkpoint=bundle.manifest.checkpoint.name,
        precision=lowered.precision,
        method=method,
        seed=seed,
        sources=[clip.source for clip in clips],
        phrases=list(dict.fromkeys(concept.name for clip in clips for concept in clip.concepts)),
        truth=evaluation.figures.jf is not None,
        bound=search.bound,
        within=search.bound.holds(evaluation.figures),
        figures=evaluation.figures,
        stages=stages,
        alone=search.alone,
        trials=search.trials,
        fp32_tensors=lowered.fp32_tensors({s: c for s, c in chosen.items() if c != FULL}),
        curve=evaluation.curve(),
        frames_iou=[(*place, iou) for place, iou in evaluation.by_frame()],
        bytes=fp32_bytes - saved,
        fp32_bytes=fp32_bytes,
        made_with=lowered.made_with(),
        ran_on=str(lowered.low_runtime),
        measured=provenance(),
    )
