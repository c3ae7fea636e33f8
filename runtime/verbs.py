"""The runtime's verbs: run, inspect, doctor. Imports here stay light, since `masklet --help` loads every verb."""

from pathlib import Path
from typing import Annotated

import typer

Points = Annotated[
    list[str], typer.Option("--point", metavar="[ID][@FRAME]:X,Y", help="A click on the object; repeats.")
]
Negatives = Annotated[
    list[str],
    typer.Option("--negative", metavar="[ID][@FRAME]:X,Y", help="A click beside the object; repeats."),
]
Boxes = Annotated[
    list[str],
    typer.Option("--box", metavar="[ID][@FRAME]:X0,Y0,X1,Y1", help="A box around the object; repeats."),
]
Masks = Annotated[
    list[str], typer.Option("--mask", metavar="[ID][@FRAME]:FILE.png", help="The object's mask; repeats.")
]
BundleFolder = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A folder that `masklet export` wrote.")]
NoHashes = Annotated[
    bool,
    typer.Option("--no-hashes", help="Do not hash the bundle's files; its manifest is checked all the same."),
]


def run(
    bundle: BundleFolder,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A video, a folder of images, or an image.")],
    points: Points = [],  # noqa: B006 typer copies the default
    negatives: Negatives = [],  # noqa: B006
    boxes: Boxes = [],  # noqa: B006
    masks_in: Masks = [],  # noqa: B006
    overlay: Annotated[Path | None, typer.Option("-o", "--overlay", help="Video with the masks drawn in.")] = None,
    masks: Annotated[Path | None, typer.Option("--masks", help="JSON lines with COCO RLE, a line a frame.")] = None,
    pngs: Annotated[Path | None, typer.Option("--pngs", help="Folder of palette PNGs as DAVIS has them.")] = None,
    start: Annotated[int, typer.Option(min=0, help="First frame to run.")] = 0,
    end: Annotated[int | None, typer.Option(help="Frame to stop before.")] = None,
    stride: Annotated[int, typer.Option(min=1, help="Run every n-th frame.")] = 1,
    max_side: Annotated[
        int | None,
        typer.Option(min=16, help="Shrink frames to this longer side; prompts count in these pixels."),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="From the last frame to the first (files only).")] = False,
    non_overlapping: Annotated[
        bool, typer.Option("--non-overlapping", help="Give each pixel to one object at most.")
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads a stage; all cores by default.")] = None,
    no_hashes: NoHashes = False,
) -> None:
    """Track prompted objects through a video."""
    from masklet.runtime.prompt_forms import parse_prompts
    from masklet.runtime.run import Outputs, track

    prompts = parse_prompts(points=points, negatives=negatives, boxes=boxes, masks=masks_in)
    outputs = Outputs(overlay=overlay, masks=masks, pngs=pngs)
    track(
        bundle,
        source,
        prompts,
        outputs,
        cut={"start": start, "end": end, "stride": stride, "max_side": max_side, "reverse": reverse},
        non_overlapping=non_overlapping,
        threads=threads,
        check_hashes=not no_hashes,
    )


def inspect(
    bundle: BundleFolder,
    json: Annotated[bool, typer.Option("--json", help="Print the manifest and the sums as JSON.")] = False,
    no_hashes: NoHashes = False,
) -> None:
    """Show a bundle's stages, shapes, sizes, precision and parity."""
    from masklet.runtime.describe import show

    show(bundle, as_json=json, check_hashes=not no_hashes)


def doctor() -> None:
    """Say what is installed here, which devices are there, and what is missing for what."""
    from masklet.runtime.doctor import report

    report()
