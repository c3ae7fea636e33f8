"""The verb `masklet calibrate`. Imports here stay light, since `masklet --help` loads every verb."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from masklet.runtime.cli.option_groups import OptionGroup, grouped
from masklet.runtime.cli.options import BundleFolder, BundleOptions, FollowedPhraseOptions, FrameOptions, PromptOptions
from masklet.runtime.errors import CalibrationError
from masklet.runtime.extras import require_extra

if TYPE_CHECKING:
    from masklet.calibration.clips.clips import Clip


class Precision(str, Enum):
    """The precision that stages are converted to."""

    int8 = "int8"
    fp16 = "fp16"
    int8_fp16 = "int8-fp16"
    bf16 = "bf16"
    int8_bf16 = "int8-bf16"


class Method(str, Enum):
    """How the range of an activation is found."""

    max = "max"
    percentile = "percentile"
    entropy = "entropy"


@dataclass(frozen=True)
class ProofOptions(OptionGroup):
    """What the low precision may cost, and the true masks that it is judged by."""

    panel = "Proof"
    truth: Annotated[
        list[Path],
        typer.Option(metavar="FOLDER", help="True masks, one for each source: DAVIS PNGs, or JSON lines of COCO RLE."),
    ] = field(default_factory=list)
    max_drop: Annotated[float, typer.Option(min=0, help="Points of J&F that may be lost; needs --truth.")] = 0.5
    min_iou: Annotated[float, typer.Option(min=0, max=1, help="Mean mask IoU with FP32 that must be kept.")] = 0.985
    search: Annotated[
        bool,
        typer.Option(
            "--search/--no-search",
            help="Find what must stay at a higher precision; without it, only measure everything at the low one.",
        ),
    ] = True
    method: Annotated[Method, typer.Option(help="How INT8 ranges are found.")] = Method.percentile
    seed: Annotated[int, typer.Option(min=0, help="Seed of the choice of frames.")] = 0


@grouped
def calibrate(
    bundle: BundleFolder,
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Videos or folders of images, numbered from 1.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="BUNDLE2", help="The bundle to write.")],
    prompts: PromptOptions,
    phrases: FollowedPhraseOptions,
    frames: FrameOptions,
    proof: ProofOptions,
    loading: BundleOptions,
    precision: Annotated[
        Precision,
        typer.Option(
            help="int8: for CPUs, FP32 between its layers; int8-fp16: for GPUs, FP16 between them; fp16; bf16 and "
            "int8-bf16: for CPUs that compute in bfloat16, on --backend openvino and auto."
        ),
    ] = Precision.int8,
    force: Annotated[
        bool, typer.Option("--force", help="Write the bundle even if it loses too much, and replace an existing one.")
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of each stage; all cores by default.")] = None,
) -> None:
    """Make an FP16, INT8 or bfloat16 bundle, and measure its cost.

    The bundle runs over the sources in FP32 and then at the low precision, and the masks are compared frame by frame.
    With --text, overlapping instances are matched. Stages and parts of stages that cost too much return to a higher
    precision. The reports are BUNDLE2.report.html and .json. With several sources, a prompt N/[ID][@FRAME]:... is for
    source N.
    """
    require_extra("calibrate", "calibrating")
    from masklet.calibration.calibrate_bundle import CalibrationRequest, run_calibrate
    from masklet.calibration.scoring.closed_loop import Bound
    from masklet.runtime.bundle.precision import Precision as BundlePrecision

    if proof.truth and len(proof.truth) != len(sources):
        raise CalibrationError(f"{len(sources)} sources and {len(proof.truth)} of --truth: give one for each, or none")
    request = CalibrationRequest(
        bundle=loading.of(bundle),
        output=output,
        precision=BundlePrecision(precision.value),
        method=proof.method.value,
        bound=Bound(proof.max_drop, proof.min_iou),
        search=proof.search,
        seed=proof.seed,
        threads=threads,
        force=force,
    )
    run_calibrate(request, clips_of(sources, prompts, phrases, frames), proof.truth)


def clips_of(
    sources: Sequence[str], prompts: PromptOptions, phrases: FollowedPhraseOptions, frames: FrameOptions
) -> "list[Clip]":
    """Each source as a clip, with its own prompts and the phrases, which all share."""
    from masklet.calibration.clips.clips import Clip

    concepts, found_with, count = phrases.concepts(), phrases.found_with(), len(sources)
    return [
        Clip(source, prompts.schedule_of(number, count, frames.first), frames.cut(), concepts, found_with)
        for number, source in enumerate(sources, start=1)
    ]
