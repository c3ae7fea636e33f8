"""The verb `masklet diagnose`. Imports here stay light, since `masklet --help` loads every verb."""

from pathlib import Path
from typing import Annotated

import typer
from masklet.runtime.cli.options import Boxes, BundleFolder, Masks, Negatives, NoHashes, Points


def diagnose(
    bundle: BundleFolder,
    source: Annotated[str, typer.Argument(metavar="CLIP", help="A video or a folder of images.")],
    truth: Annotated[
        Path | None, typer.Option(metavar="MASKS", help="True masks: DAVIS PNGs, or JSON lines of COCO RLE.")
    ] = None,
    points: Points = [],  # noqa: B006 typer copies the default
    negatives: Negatives = [],  # noqa: B006
    boxes: Boxes = [],  # noqa: B006
    masks_in: Masks = [],  # noqa: B006
    transform: Annotated[
        list[str],
        typer.Option(
            metavar="NAME[:LEVEL]",
            help="Also run the clip transformed: occlusion, illumination, speed, viewpoint, clutter, all of these, or "
            "long; at levels 1 to 3, or at all of them. May be given several times.",
        ),
    ] = [],  # noqa: B006
    against: Annotated[
        Path | None, typer.Option(metavar="BUNDLE2", help="Another bundle, such as an INT8 one, to compare with.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as one HTML page.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every measure as JSON.")] = None,
    write: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the transformed clips there, as DAVIS folders.")
    ] = None,
    attention: Annotated[
        bool, typer.Option("--attention/--no-attention", help="Measure where memory attention looks.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Of the transformations.")] = 0,
    start: Annotated[int, typer.Option(min=0, help="First frame to run.")] = 0,
    end: Annotated[int | None, typer.Option(help="Frame to stop before.")] = None,
    stride: Annotated[int, typer.Option(min=1, help="Run every n-th frame.")] = 1,
    max_side: Annotated[int | None, typer.Option(min=16, help="Shrink frames to this longer side.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads a stage; all cores by default.")] = None,
    no_hashes: NoHashes = False,
) -> None:
    """Find where a model loses an object, and what can be done.

    The bundle runs over a clip with true masks, and what it knows of each object is read at five positions on every
    frame: image embedding, memory attention, prompt attention, mask and memory. For each object that is lost the first
    position that lost it is named. Without prompts, the objects of the first true mask are followed.
    """
    from masklet.calibration.clips.clips import Clip
    from masklet.calibration.diagnosis.command import Request, run_diagnose
    from masklet.calibration.diagnosis.transformations.transformation import parse_transformations
    from masklet.runtime.prompts.syntax import parse_prompts

    prompts = parse_prompts(points=points, negatives=negatives, boxes=boxes, masks=masks_in)
    cut = {"start": start, "end": end, "stride": stride, "max_side": max_side}
    request = Request(
        bundle=bundle,
        against=against,
        truth=truth,
        transformations=parse_transformations(transform),
        html=html,
        json=json,
        write=write,
        shares=attention,
        seed=seed,
        threads=threads,
        check_hashes=not no_hashes,
    )
    run_diagnose(request, Clip(source, prompts, cut))
