"""The verb `masklet calibrate`. Imports here stay light, since `masklet --help` loads every verb."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from masklet.runtime.cli.options import (
    Boxes,
    BundleFolder,
    Exemplars,
    Hotstart,
    Masks,
    MinScore,
    Negatives,
    NoHashes,
    Points,
    Texts,
)
from masklet.runtime.errors import CalibrationError


class Precision(str, Enum):  # noqa: UP042 typer shows the values of such an enumeration
    """What stages are lowered to."""

    int8 = "int8"
    fp16 = "fp16"
    int8_fp16 = "int8-fp16"


class Method(str, Enum):  # noqa: UP042
    """How the range of an activation is found."""

    max = "max"
    percentile = "percentile"
    entropy = "entropy"


def calibrate(
    bundle: BundleFolder,
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Videos or folders of images, numbered from 1.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="BUNDLE2", help="The bundle to write.")],
    precision: Annotated[
        Precision,
        typer.Option(help="int8: for CPUs, FP32 between its layers; int8-fp16: for GPUs, FP16 between them; fp16."),
    ] = Precision.int8,
    points: Points = [],  # noqa: B006 typer copies the default
    negatives: Negatives = [],  # noqa: B006
    boxes: Boxes = [],  # noqa: B006
    masks_in: Masks = [],  # noqa: B006
    texts: Texts = [],  # noqa: B006
    exemplars: Exemplars = [],  # noqa: B006
    min_score: MinScore = 0.5,
    hotstart: Hotstart = 15,
    truth: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="True masks, one for each source: DAVIS PNGs, or JSON lines of COCO RLE."),
    ] = None,
    max_drop: Annotated[float, typer.Option(min=0, help="Points of J&F that may be lost; needs --truth.")] = 0.5,
    min_iou: Annotated[float, typer.Option(min=0, max=1, help="Mean mask IoU with FP32 that must be kept.")] = 0.985,
    search: Annotated[
        bool, typer.Option("--search/--no-search", help="Find what must stay higher, or measure all low and no more.")
    ] = True,
    method: Annotated[Method, typer.Option(help="How INT8 ranges are found.")] = Method.percentile,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of frames.")] = 0,
    start: Annotated[int, typer.Option(min=0, help="First frame to run.")] = 0,
    end: Annotated[int | None, typer.Option(help="Frame to stop before.")] = None,
    stride: Annotated[int, typer.Option(min=1, help="Run every n-th frame.")] = 1,
    max_side: Annotated[int | None, typer.Option(min=16, help="Shrink frames to this longer side.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write it though it loses too much, and replace a bundle that is there.")
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads a stage; all cores by default.")] = None,
    no_hashes: NoHashes = False,
) -> None:
    """Make an FP16 or INT8 bundle, and prove what it costs.

    The bundle runs over the sources in FP32, then at the low precision, and its masks are compared frame by frame; with
    --text, instances that overlap are the same. What costs more than it may goes up again, stage by stage and part by
    part. BUNDLE2.report.html and .json say what was found. With several sources, a prompt N/[ID][@FRAME]:... is for the
    n-th.
    """
    from masklet.calibration.clips.clips import Clip
    from masklet.calibration.command import Request, run_calibrate
    from masklet.calibration.scoring.closed_loop import Bound
    from masklet.runtime.bundle.precision import Precision as BundlePrecision
    from masklet.runtime.cli.per_stream import prompts_of
    from masklet.runtime.concepts.concept import parse_concepts
    from masklet.runtime.concepts.options import ConceptOptions
    from masklet.runtime.prompts.syntax import parse_prompts

    truths = truth or []
    if truths and len(truths) != len(sources):
        raise CalibrationError(f"{len(sources)} sources and {len(truths)} of --truth: give one for each, or none")
    forms = {"points": points, "negatives": negatives, "boxes": boxes, "masks": masks_in}
    cut = {"start": start, "end": end, "stride": stride, "max_side": max_side}
    concepts, found_with = parse_concepts(texts, exemplars), ConceptOptions.of(min_score, hotstart)
    clips = []
    for number, source in enumerate(sources, start=1):
        mine = {form: prompts_of(words, number, len(sources)) for form, words in forms.items()}
        clips.append(Clip(source, parse_prompts(**mine), cut, concepts, found_with))
    request = Request(
        bundle=bundle,
        output=output,
        precision=BundlePrecision(precision.value),
        method=method.value,
        bound=Bound(max_drop, min_iou),
        search=search,
        seed=seed,
        threads=threads,
        force=force,
        check_hashes=not no_hashes,
    )
    run_calibrate(request, clips, truths)
