"""The verb `masklet annotate`. Imports here stay light, as in `verbs`."""

from pathlib import Path
from typing import Annotated

import typer
from masklet.runtime.cli.option_groups import grouped
from masklet.runtime.cli.options import BackendOptions, BundleFolder, BundleOptions, FrameOptions, MemoryOptions


@grouped
def annotate(
    bundle: BundleFolder,
    clip: Annotated[str, typer.Argument(metavar="CLIP", help="A video, a folder of images, an image.")],
    frames: FrameOptions,
    memory: MemoryOptions,
    backend: BackendOptions,
    loading: BundleOptions,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FOLDER",
            help="Folder where prompts.json and masks.jsonl are saved and read again; CLIP.annotation by default.",
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="MASKS", help="True masks to compare with: a folder of palette PNGs, or masks as JSON lines."
        ),
    ] = None,
    port: Annotated[str, typer.Option(metavar="[HOST:]PORT", help="Where the page is served.")] = "8000",
) -> None:
    """Annotate a clip in the browser: click, track, correct.

    Prompts are for any frame, tracking goes both ways. Every change is saved at once; the same command opens the
    annotation again. Ctrl-C ends it.
    """
    from masklet.runtime.cli.annotate_clip import AnnotationRequest, annotate_clip

    folder = output or Path(clip.rstrip("/")).with_suffix(".annotation")
    request = AnnotationRequest(clip, frames.cut(), folder, truth, port)
    annotate_clip(loading.of(bundle), request, backend.choice(), memory.memory, memory.limits())
