"""The verb `masklet profile`. Imports here stay light, since `masklet --help` loads every verb."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from masklet.runtime.cli.option_groups import OptionGroup, grouped
from masklet.runtime.cli.options import (
    BackendOptions,
    BundleOptions,
    FollowedPhraseOptions,
    FrameOptions,
    OutputOptions,
    PromptOptions,
)
from masklet.runtime.errors import MaskletError

if TYPE_CHECKING:
    from masklet.profiles.model.growth import Sweep


@dataclass(frozen=True)
class ReportOptions(OptionGroup):
    """What is measured, and where the report goes besides the terminal."""

    panel = "Report"
    json: Annotated[Path | None, typer.Option("--json", help="The report as JSON; --compare reads it.")] = None
    trace: Annotated[Path | None, typer.Option("--trace", help="A trace for ui.perfetto.dev.")] = None
    html: Annotated[Path | None, typer.Option("--html", help="The report as one page with charts.")] = None
    warmup: Annotated[
        int | None,
        typer.Option(min=0, help="Frames at the start that are not counted; by default until the memory bank is full."),
    ] = None
    sweep: Annotated[
        list[str] | None,
        typer.Option(metavar="SIZES", help="Measure objects=1,2,4 and memory=1,3,7 and show how the cost grows."),
    ] = None
    operators: Annotated[
        str | None,
        typer.Option(metavar="STAGE", help="Time every operator of a stage, such as image_encoder, after the run."),
    ] = None
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(metavar="A.json B.json", help="Compare two reports; runs nothing.")
    ] = None


@grouped
def profile(
    prompts: PromptOptions,
    phrases: FollowedPhraseOptions,
    frames: FrameOptions,
    report: ReportOptions,
    outputs: OutputOptions,
    backend: BackendOptions,
    loading: BundleOptions,
    bundle: Annotated[
        Path | None, typer.Argument(metavar="BUNDLE", help="A folder that `masklet export` wrote.")
    ] = None,
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help="A video, or a folder of images.")] = None,
    sizes: Annotated[list[str] | None, typer.Argument(metavar="SIZES", help="More sizes of --sweep.")] = None,
) -> None:
    """Measure where the time of a frame goes, stage by stage.

    On a GPU the profiler synchronises after each stage, so each stage has its own time. With --text, phrases are
    encoded once, before the first frame, and are not part of any frame's time.
    """
    from masklet.profiles.pipeline import ProfileRequest
    from masklet.profiles.profile_bundle import Reports, run_compare, run_profile

    given = [word for word in (bundle and str(bundle), source, *(sizes or ())) if word is not None]
    if report.compare is not None:
        if given:
            raise MaskletError(f"--compare reads two reports and runs nothing; leave out {' '.join(given)}")
        refused = {"--html": report.html, "--trace": report.trace}
        for flag in (flag for flag, path in refused.items() if path is not None):
            raise MaskletError(f"{flag} shows one run; --compare prints a table and writes --json")
        run_compare(report.compare, report.json)
        return
    folder, clip, sweep = _words(given, report.sweep or [])
    request = ProfileRequest(
        clip,
        phrases.wanted(prompts.schedule(frames.first)),
        outputs.outputs(),
        frames.cut(),
        backend.choice(),
        warmup=report.warmup,
        sweep=sweep,
        operators=report.operators,
    )
    run_profile(loading.of(folder), request, Reports(report.json, report.trace, report.html))


def _words(given: list[str], sweep: list[str]) -> "tuple[Path, str, Sweep | None]":
    """BUNDLE, SOURCE and the sizes of --sweep, which typer cannot tell apart."""
    from masklet.profiles.model.growth import is_axis, parse_sweep

    named = [word for word in given if not is_axis(word)]
    if len(named) != 2:
        raise MaskletError(f"give BUNDLE and SOURCE, or --compare A.json B.json; got {' '.join(named) or 'neither'}")
    axes = [*sweep, *filter(is_axis, given)]
    if axes and not sweep:
        raise MaskletError(f"{' '.join(axes)}: sizes must follow --sweep")
    return Path(named[0]), named[1], parse_sweep(axes) if axes else None
