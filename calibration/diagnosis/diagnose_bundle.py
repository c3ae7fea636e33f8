"""The command `masklet diagnose`: checks first, then the clip and its transformations, then reports."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from masklet.calibration.clips.clips import Clip
from masklet.calibration.clips.truth import open_truth
from masklet.calibration.diagnosis.followed import schedule_of
from masklet.calibration.diagnosis.observation import ObservedBundle
from masklet.calibration.diagnosis.observer.positions import Layout
from masklet.calibration.diagnosis.pipeline import Plan, diagnose
from masklet.calibration.diagnosis.report.films import Film
from masklet.calibration.diagnosis.report.page import page
from masklet.calibration.diagnosis.report.report import Report, Side
from masklet.calibration.diagnosis.report.terminal import show
from masklet.calibration.diagnosis.transformations.davis_folder import check_folder
from masklet.calibration.diagnosis.transformations.transformation import Transformation
from masklet.calibration.diagnosis.transformations.true_clip import open_true_clip
from masklet.calibration.progress import progress_bar
from masklet.runtime.bundle.bundle import Bundle, BundleChoice
from masklet.runtime.errors import CalibrationError
from masklet.runtime.prompts.prompts import Schedule
from masklet.runtime.sinks.output_file import check_writable, write_whole
from masklet.runtime.tracking.known_policies import policy_of
from masklet.runtime.tracking.memory_detail import block_memory
from masklet.runtime.tracking.memory_limits import MemoryLimits


@dataclass(frozen=True, slots=True)
class DiagnosisRequest:
    """What to diagnose, and where the reports go.

    limits: how much of memories is attended. against, against_memory: what to compare with; None for the same bundle,
    the same policy, or for nothing where both are. truth: of the clip's true masks. shares: whether attention's are
    measured.
    """

    bundle: BundleChoice
    memory: str | None
    limits: MemoryLimits
    against: BundleChoice | None
    against_memory: str | None
    truth: Path | None
    transformations: Sequence[Transformation]
    html: Path | None
    json: Path | None
    write: Path | None
    shares: bool
    seed: int
    threads: int | None


def run_diagnose(request: DiagnosisRequest, clip: Clip) -> None:
    """Diagnose, print, write the reports."""
    compared = _compared(request)
    clip, schedule = _checked(request, clip)
    objects = sorted({i for prompts in schedule.values() for i in prompts})
    sides: list[Side] = []
    shown: dict[str, list[Film]] = {}
    with progress_bar() as progress, open_true_clip(clip, objects, progress) as opened:
        for bundle, memory in compared:
            first = not sides
            plan = Plan(
                clip=opened,
                schedule=schedule,
                truth=clip.truth is not None,
                transformations=request.transformations,
                seed=request.seed,
                pictures=first and request.html is not None,
                write=request.write if first else None,
            )
            with _observed(request, bundle, memory) as observed:
                side, found = diagnose(observed, plan, progress)
            sides.append(side)
            shown = shown or found
    report = Report(
        source=clip.source,
        objects=objects,
        seed=request.seed,
        truth=clip.truth is not None,
        side=sides[0],
        against=sides[1] if len(sides) > 1 else None,
    )
    show(report)
    _write(request, report, shown)


def _compared(request: DiagnosisRequest) -> list[tuple[Bundle, str | None]]:
    """The bundle and, where there is one, what it is compared with, each with its memory policy."""
    bundle = request.bundle.load()
    compared = [(bundle, request.memory)]
    if request.against is not None or request.against_memory is not None:
        other = bundle if request.against is None else request.against.load()
        compared.append((other, request.memory if request.against_memory is None else request.against_memory))
    for each, memory in compared:
        Layout.of(each)
        policy_of(each.model, memory)
        block_memory(each.model, request.limits.detail)
    return compared


def _observed(request: DiagnosisRequest, bundle: Bundle, memory: str | None) -> ObservedBundle:
    return ObservedBundle(bundle, memory=memory, limits=request.limits, threads=request.threads, shares=request.shares)


def _checked(request: DiagnosisRequest, clip: Clip) -> tuple[Clip, Schedule]:
    """Refuse what cannot be done before any work is; returns the clip with its truth, and its prompts."""
    for path in (request.html, request.json):
        if path is not None:
            check_writable(path)
    if request.write is not None:
        check_folder(request.write)
        if not request.transformations:
            raise CalibrationError(f"--write {request.write}: nothing to write; give --transform")
    if request.truth is not None:
        clip = replace(clip, truth=open_truth(request.truth))
    if request.transformations and clip.truth is None:
        raise CalibrationError("--transform moves true masks along; give --truth MASKS")
    schedule = schedule_of(clip)
    later = sorted(frame for frame in schedule if frame != clip.first_frame)
    if request.transformations and later:
        raise CalibrationError(
            f"a prompt is for frame {later[0]}, and --transform changes what is there; prompt on frame "
            f"{clip.first_frame}, the first, alone"
        )
    return clip, schedule


def _write(request: DiagnosisRequest, report: Report, films: dict[str, list[Film]]) -> None:
    if request.json is not None:
        write_whole(request.json, msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    if request.html is not None:
        write_whole(request.html, page(report, films).encode())
