"""The verb `masklet tune`. Imports here stay light, since `masklet --help` loads every verb."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from masklet.runtime.cli.option_groups import OptionGroup, grouped
from masklet.runtime.cli.options import BundleFolder, BundleOptions, FollowedPhraseOptions, FrameOptions, PromptOptions
from masklet.runtime.errors import CalibrationError
from masklet.runtime.extras import require_extra

USUAL_DROP = 1.0  # points of J&F
USUAL_IOU = 0.97  # of masks with the exact pipeline's


@dataclass(frozen=True)
class GoalOptions(OptionGroup):
    """What is asked for."""

    panel = "Goal"
    target_ms: Annotated[float | None, typer.Option(min=0.01, help="Milliseconds that a frame may take.")] = None
    target_fps: Annotated[float | None, typer.Option(min=0.01, help="Frames per second instead.")] = None
    truth: Annotated[
        list[Path],
        typer.Option(metavar="MASKS", help="True masks, one for each clip: DAVIS PNGs, or JSON lines of COCO RLE."),
    ] = field(default_factory=list)
    max_drop: Annotated[
        float | None,
        typer.Option(min=0, help=f"Points of J&F that may be lost; needs --truth. {USUAL_DROP} if absent."),
    ] = None
    min_iou: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help=f"Without --truth: mask IoU with the exact pipeline to keep. {USUAL_IOU} if absent."
        ),
    ] = None
    minutes: Annotated[float, typer.Option(min=0.1, help="Minutes after which the search ends.")] = 20.0

    def ms(self) -> float:
        """The budget of a frame. Raises CalibrationError unless exactly one of the two is given."""
        if (self.target_ms is None) == (self.target_fps is None):
            raise CalibrationError("give either --target-ms or --target-fps: the budget of a frame")
        return self.target_ms if self.target_ms is not None else 1e3 / (self.target_fps or 1.0)

    def max_loss(self) -> float:
        """Points of 100 that may be lost. Raises CalibrationError where the bound does not go with the truth."""
        if not self.truth:
            if self.max_drop is not None:
                raise CalibrationError("--max-drop is in points of J&F: give --truth MASKS, or --min-iou instead")
            return 100 * (1 - (USUAL_IOU if self.min_iou is None else self.min_iou))
        if self.min_iou is not None:
            raise CalibrationError("--min-iou is for clips without --truth; give --max-drop")
        return USUAL_DROP if self.max_drop is None else self.max_drop


@grouped
def tune(
    bundle: BundleFolder,
    sources: Annotated[
        list[str], typer.Argument(metavar="CLIP...", help="Videos or folders of images, numbered from 1.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="TUNED", help="The bundle to write.")],
    goal: GoalOptions,
    prompts: PromptOptions,
    phrases: FollowedPhraseOptions,
    frames: FrameOptions,
    loading: BundleOptions,
    others: Annotated[
        list[Path],
        typer.Option("--with", metavar="BUNDLE2", help="Also choose among another bundle of the model, such as INT8."),
    ] = [],  # noqa: B006 typer copies the default
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the page goes; beside the bundle if absent.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of each stage at most; all cores by default.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that is there already.")] = False,
) -> None:
    """Find the settings that keep a latency budget, and their cost.

    The exact pipeline, the bundle's first variant, runs over the clips; then stages are timed on every backend that is
    here, knobs are tried alone and together, and the most accurate point within the budget is written: variant, what
    memories keep, recent frames, update interval, backend of each stage, threads. TUNED.report.html and .json say what
    was found. The same command goes on after an interruption. Exit code 2 where nothing fits.
    """
    require_extra("calibrate", "tuning")
    from masklet.calibration.clips.clips import Clip
    from masklet.calibration.tuning.tune_bundle import TuneRequest, run_tune

    if goal.truth and len(goal.truth) != len(sources):
        raise CalibrationError(f"{len(sources)} clips and {len(goal.truth)} of --truth: give one for each, or none")
    concepts, found_with, count = phrases.concepts(), phrases.found_with(), len(sources)
    clips = [
        Clip(source, prompts.schedule_of(number, count, frames.first), frames.cut(), concepts, found_with)
        for number, source in enumerate(sources, start=1)
    ]
    request = TuneRequest(
        bundle=loading.of(bundle),
        others=tuple(others),
        output=output,
        target_ms=goal.ms(),
        max_loss=goal.max_loss(),
        minutes=goal.minutes,
        threads=threads,
        html=html,
        force=force,
    )
    run_tune(request, clips, goal.truth)
