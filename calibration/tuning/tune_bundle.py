"""The command `masklet tune`: checks, the exact pipeline, the search, reports, the tuned bundle."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import typer
from masklet.calibration.clips.clips import Clip, check_clips
from masklet.calibration.clips.truth import open_truth
from masklet.calibration.progress import Tell, progress_bar
from masklet.calibration.tuning.exact import ExactMasks
from masklet.calibration.tuning.journal import Journal, request_key
from masklet.calibration.tuning.knobs import Knobs
from masklet.calibration.tuning.models import Models
from masklet.calibration.tuning.page import page
from masklet.calibration.tuning.report import Report, paths, report, tuning
from masklet.calibration.tuning.search import Goal, Search
from masklet.calibration.tuning.terminal import show
from masklet.calibration.tuning.trial import Outcome, Trial
from masklet.calibration.tuning.write import write_tuned
from masklet.runtime.bundle.bundle import BundleChoice
from masklet.runtime.bundle.writer import check_destination
from masklet.runtime.errors import CalibrationError
from masklet.runtime.sinks.output_file import check_writable, write_whole
from rich.progress import TimeElapsedColumn


@dataclass(frozen=True, slots=True)
class TuneRequest:
    """What to tune. others: bundles of the same model, such as an INT8 one. minutes: within which the search ends."""

    bundle: BundleChoice
    others: tuple[Path, ...]
    output: Path
    target_ms: float
    max_loss: float
    minutes: float
    threads: int | None
    html: Path | None
    force: bool


def run_tune(request: TuneRequest, clips: Sequence[Clip], truths: Sequence[Path]) -> None:
    """Search, report, write. Ctrl-C keeps what was measured, and the same command goes on from there.

    truths: true masks of each clip; empty if there are none.
    Raises CalibrationError where nothing fits, after the closest points were reported.
    """
    others = [replace(request.bundle, root=root, variant=None) for root in request.others]
    begun = time.perf_counter()
    models = Models([choice.load() for choice in (request.bundle, *others)], request.threads)
    check_destination(request.output, request.force)
    if request.html is not None:
        check_writable(request.html)
    if truths:
        clips = [replace(clip, truth=open_truth(path)) for clip, path in zip(clips, truths, strict=True)]
    for remark in check_clips(clips, models.bundles[0]):
        typer.echo(f"masklet: {remark}", err=True)
    with _work_folder(request.output) as folder:
        with progress_bar(TimeElapsedColumn()) as tell:
            search = _search(request, models, clips, truths, folder, tell, begun + 60 * request.minutes)
            chosen = search.chosen()
            worst = [] if chosen is None else search.evaluation(chosen).worst
        found = report(search, clips, (time.perf_counter() - begun) / 60)
        _write_reports(request, found, page(found, worst))
        show(found)
        if chosen is None:
            raise CalibrationError(f"{request.output} was not written: {found.limits}")
        bundle = models.bundle((chosen.point.bundle, chosen.point.form))
        write_tuned(bundle, tuning(search, chosen, clips), request.output, replace=request.force)
    typer.echo(f"{request.output}: run it as it is, `masklet run {request.output} SOURCE`")


def _search(
    request: TuneRequest,
    models: Models,
    clips: Sequence[Clip],
    truths: Sequence[Path],
    folder: Path,
    tell: Tell,
    end_s: float,
) -> Search:
    exact = ExactMasks(folder, clips)
    key = request_key(models, clips, truths)
    journal = Journal(folder / "journal.jsonl", key)
    if not journal.times:
        exact.forget()
    exact.record(models, tell, request.minutes, lambda line: typer.echo(f"masklet: {line}", err=True))
    model = models.bundles[0].model
    knobs = Knobs.of(model, phrases=bool(clips[0].concepts))
    trial = Trial(models, clips, exact.masks())
    outcome = exact.outcome(models)
    typer.echo(f"masklet: {_beforehand(outcome, end_s - time.perf_counter())}", err=True)
    search = Search(models, knobs, trial, Goal(request.target_ms, request.max_loss), journal, tell, end_s)
    search.run(clips, outcome)
    return search


def _beforehand(exact: Outcome, left_s: float) -> str:
    """What the search will take, in words."""
    per_point = exact.figures.frames * exact.times.mean / 1e3
    count = max(0, int(left_s / max(per_point / 3, 1e-3)))
    many = "hundreds of" if count > 200 else f"about {count}"
    few = "; that is too few for a good answer, allow more --minutes or shorten the clips with --end" * (count < 20)
    return (
        f"the exact pipeline takes {exact.times.mean:.1f} ms a frame; the search ends within {left_s / 60:.1f} minutes "
        f"and can try {many} points in that time{few}"
    )


def _write_reports(request: TuneRequest, found: Report, html: str) -> None:
    json, beside = paths(request.output)
    write_whole(json, msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    write_whole(request.html or beside, html.encode())


@contextmanager
def _work_folder(output: Path) -> Iterator[Path]:
    """A folder beside the output; it is kept after Ctrl-C and where nothing fits, so that the command can go on."""
    folder = output.with_name(f".{output.name}.tuning")
    try:
        folder.mkdir(exist_ok=True)
        yield folder
    except KeyboardInterrupt:
        typer.echo(f"masklet: what was measured is kept in {folder}; the same command goes on from it", err=True)
        raise
    except OSError as error:
        raise CalibrationError(f"{folder}: cannot be written: {error.strerror or error}") from None
    shutil.rmtree(folder, ignore_errors=True)
