"""The command `masklet calibrate`: checks, recording, search, comparison with the limits, bundle and report."""

import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import typer
from masklet.calibration.clips.clips import Clip, check_clips
from masklet.calibration.clips.truth import open_truth
from masklet.calibration.graphs.low_precision import FULL, StagePrecision, StagePrecisions
from masklet.calibration.progress import Tell, progress_bar
from masklet.calibration.recording.record import Recording, record
from masklet.calibration.report.page import page
from masklet.calibration.report.report import Report, make_report
from masklet.calibration.report.terminal import show
from masklet.calibration.scoring.closed_loop import Bound, Evaluation, Figures, evaluate, lost_by_fp32
from masklet.calibration.search.lowered_stages import LoweredStages
from masklet.calibration.search.search import Search
from masklet.runtime.bundle.bundle import Bundle, BundleChoice
from masklet.runtime.bundle.manifest import Parity
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.bundle.writer import check_destination, write_bundle
from masklet.runtime.errors import CalibrationError, MaskletError, MaskletWarning
from masklet.runtime.sinks.output_file import write_whole


@dataclass(frozen=True, slots=True)
class CalibrationRequest:
    """The options of a calibration."""

    bundle: BundleChoice
    output: Path
    precision: Precision
    method: str
    bound: Bound
    search: bool
    seed: int
    threads: int | None
    force: bool


def run_calibrate(request: CalibrationRequest, clips: Sequence[Clip], truths: Sequence[Path]) -> None:
    """Calibrate, report, write. Ctrl-C keeps the recording, and the same command resumes from it.

    truths: true masks of each clip; empty if there are none.
    """
    bundle = request.bundle.load()
    _check_full(bundle)
    check_destination(request.output, request.force)
    if truths:
        clips = [replace(clip, truth=open_truth(path)) for clip, path in zip(clips, truths, strict=True)]
    for remark in check_clips(clips, bundle):
        typer.echo(f"masklet: {remark}", err=True)
    with _work_folder(request.output) as folder, progress_bar() as progress:
        recording = record(
            bundle, clips, folder / "recording", seed=request.seed, threads=request.threads, progress=progress
        )
        report, search = _search(bundle, recording, clips, request, folder, progress)
        _write_reports(request.output, report, page(report, search.evaluation(_choices(report)).worst))
        show(report)
        _check_gate(report, request)
        _write(bundle, search.lowered, report, request)
    typer.echo(f"{request.output}: {report.precision}, {report.bytes / report.fp32_bytes:.2f} of the size")


def _search(
    bundle: Bundle,
    recording: Recording,
    clips: Sequence[Clip],
    request: CalibrationRequest,
    folder: Path,
    progress: Tell,
) -> tuple[Report, Search]:
    lowered = LoweredStages(bundle, recording, request.precision, request.method, folder / "lowered", request.threads)
    masks = [recording.masks(number) for number in range(len(clips))]

    def judge(why: str, choices: StagePrecisions) -> Evaluation:
        done = 0

        def told(frames: int) -> None:
            nonlocal done
            done += frames
            progress(why, done, recording.frames)

        evaluation = evaluate(lowered.open(choices), clips, masks, told)
        _check_proof(evaluation.figures, request)
        return evaluation

    search = Search(lowered, judge, request.bound)
    if request.search:
        chosen = search.run()
    else:
        chosen = lowered.lowest()
        search.attempt("every stage low", chosen)
    if all(choice == FULL for choice in chosen.values()) and not request.force:
        raise CalibrationError(
            f"{request.bundle.root}: no stage can be {request.precision} within the limits; allow more with --max-drop "
            "or --min-iou, or try --precision fp16"
        )
    return make_report(bundle, search, chosen, method=request.method, seed=request.seed, clips=clips), search


def _write(bundle: Bundle, lowered: LoweredStages, report: Report, request: CalibrationRequest) -> None:
    kept = {stage for stage, each in report.stages.items() if each.choice.precision.graph is Precision.FP32}
    full = [p for p in bundle.manifest.parity if p.stage in kept]
    low: list[Parity] = [p for stage, each in report.stages.items() if stage not in kept for p in each.parity]
    with write_bundle(request.output, replace=request.force) as writer:
        lowered.write(writer, _choices(report))
        manifest = bundle.manifest
        writer.seal(manifest.model, manifest.checkpoint, [*full, *low], report.made_with, report.summary())


def _choices(report: Report) -> dict[str, StagePrecision]:
    return {stage: each.choice for stage, each in report.stages.items()}


def _check_gate(report: Report, request: CalibrationRequest) -> None:
    if report.within or request.force:
        return
    figures, bound = report.figures, report.bound
    lost = "" if figures.drop is None else f" and {figures.drop:.2f} points of J&F lost, at most {bound.max_drop}"
    advice = "" if request.search else "leave out --no-search, "
    raise CalibrationError(
        f"{request.output} was not written: mask IoU with FP32 is {figures.iou:.4f}, minimum {bound.min_iou}{lost}; "
        f"the worst stage is {report.worst_stage}; {advice}allow more loss, or write it in any case with --force"
    )


def _check_proof(figures: Figures, request: CalibrationRequest) -> None:
    """Refuse clips on which FP32 lost the objects: agreement with nothing proves nothing."""
    why = lost_by_fp32(figures)
    if why is None:
        return
    if not request.force:
        raise CalibrationError(
            f"{why}, so agreement with it proves nothing; prompt the objects better, take other clips, or write the "
            "bundle in any case with --force"
        )
    warnings.warn(f"{why}: agreement with it proves nothing", MaskletWarning, stacklevel=2)


def _check_full(bundle: Bundle) -> None:
    low = sorted({a.precision for a in bundle.manifest.artifacts} - {Precision.FP32})
    if low:
        raise CalibrationError(f"{bundle.root}: is already {', '.join(low)}; calibrate the FP32 bundle instead")
    if bundle.model.memory is None and bundle.model.concepts is None:
        raise CalibrationError(
            f"{bundle.root}: segments prompted objects in images; calibration needs a model that tracks or detects"
        )


def _write_reports(output: Path, report: Report, html: str) -> None:
    json = msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"
    for suffix, data in ((".report.json", json), (".report.html", html.encode())):
        write_whole(output.with_suffix(suffix), data)


@contextmanager
def _work_folder(output: Path) -> Iterator[Path]:
    """A folder beside the output; it is kept after Ctrl-C, so that the command can resume."""
    folder = output.with_name(f".{output.name}.calibration")
    try:
        folder.mkdir(exist_ok=True)
        yield folder
    except KeyboardInterrupt:
        typer.echo(f"masklet: the recording is kept in {folder}; the same command resumes from it", err=True)
        raise
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise CalibrationError(f"{folder}: cannot be written: {error.strerror or error}; nothing was kept") from None
    except MaskletError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
