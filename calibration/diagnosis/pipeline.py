"""A bundle over a clip and its transformations, under observation, and what comes of each as a condition."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from masklet.calibration.diagnosis.observation import Observation, ObservedBundle
from masklet.calibration.diagnosis.observer.positions import BoolArray
from masklet.calibration.diagnosis.report.films import Film, films
from masklet.calibration.diagnosis.report.report import AS_IT_IS, Condition, Finding, Side
from masklet.calibration.diagnosis.transformations.davis_folder import written
from masklet.calibration.diagnosis.transformations.transformation import Transformation
from masklet.calibration.diagnosis.transformations.true_clip import Shot, TrueClip
from masklet.calibration.diagnosis.verdicts.remedies import Circumstances, low_stages, remedies
from masklet.calibration.diagnosis.verdicts.sentences import sentence
from masklet.calibration.diagnosis.verdicts.verdict import Verdict, verdicts
from masklet.calibration.progress import Tell
from masklet.runtime.prompts.prompts import Schedule

FILMS, FILMS_TRANSFORMED = 6, 2  # at most, of the clip as it is and of each transformed one


@dataclass(frozen=True, slots=True)
class Plan:
    """What a bundle is run over. seed: of the transformations. write: where those are written to, None for nowhere."""

    clip: TrueClip
    schedule: Schedule
    truth: bool
    transformations: Sequence[Transformation]
    seed: int
    pictures: bool
    write: Path | None = None


def diagnose(observed: ObservedBundle, plan: Plan, progress: Tell) -> tuple[Side, dict[str, list[Film]]]:
    """Run a bundle over everything that is planned; also returns the films of each condition, if they are wanted."""
    conditions, shown = [], {}
    for transformation in (None, *plan.transformations):
        condition, shown[condition.name] = _condition(observed, plan, transformation, progress)
        conditions.append(condition)
    bundle = observed.bundle
    side = Side(
        bundle=bundle.root.name,
        memory=observed.policy,
        family=bundle.model.family,
        variant=bundle.model.variant,
        low_stages=low_stages(bundle),
        conditions=conditions,
    )
    return side, shown


def _condition(
    observed: ObservedBundle, plan: Plan, transformation: Transformation | None, progress: Tell
) -> tuple[Condition, list[Film]]:
    clip, schedule = plan.clip, plan.schedule
    name = AS_IT_IS if transformation is None else str(transformation)
    frames = len(clip) if transformation is None else transformation.length(clip)
    done = 0

    def told() -> None:
        nonlocal done
        done += 1
        progress(f"{observed.bundle.root.name}, {observed.policy}, {name}", done, frames)

    if transformation is None:
        shots: Iterator[tuple[int, Shot]] = zip(clip.frame_indices, clip.shots(), strict=True)
    else:
        shots = enumerate(_transformed(plan, transformation))
        schedule = {0: schedule[clip.frame_indices[0]]}
    seen = observed.follow(shots, schedule, told, truth=plan.truth, pictures=plan.pictures)
    findings = [
        _finding(observed, plan, seen, verdict, transformation is None)
        for measures in seen.measures.values()
        for verdict in verdicts(measures)
    ]
    every = [each for measures in seen.measures.values() for each in measures]
    most = FILMS if transformation is None else FILMS_TRANSFORMED
    shown = films(seen.pictures, findings, most) if plan.pictures else []
    return Condition.of(name, frames, every, findings), shown


def _transformed(plan: Plan, transformation: Transformation) -> Iterator[Shot]:
    shots = transformation.apply(plan.clip, plan.seed)
    name = f"{plan.clip.name}-{transformation.family}-{transformation.level}"
    return shots if plan.write is None else written(shots, plan.write, name)


def _finding(observed: ObservedBundle, plan: Plan, seen: Observation, verdict: Verdict, as_it_is: bool) -> Finding:
    measures, click = seen.measures[verdict.object_id], None
    if as_it_is:
        shot = plan.clip.shot(plan.clip.frame_indices.index(verdict.frame))
        click = innermost(shot.masks[verdict.object_id])
    at = Circumstances(observed.bundle, observed.policy, measures, click)
    return Finding(verdict, sentence(verdict, measures), remedies(verdict, at))


def innermost(mask: BoolArray) -> tuple[int, int] | None:
    """The pixel x, y of a mask [H, W] that is farthest from its edge; None where it is empty."""
    if not mask.any():
        return None
    depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), mask.shape)
    return int(x), int(y)
