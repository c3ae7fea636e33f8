"""The verb `masklet archive`. Imports here stay light, as in `verbs`."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from masklet.runtime.cli.option_groups import grouped
from masklet.runtime.cli.options import (
    BackendOptions,
    BundleFolder,
    BundleOptions,
    FollowedPhraseOptions,
    FrameOptions,
    MemoryOptions,
    PromptOptions,
    UpdateOptions,
)


@grouped
def archive(
    bundle: BundleFolder,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Videos, folders of images, patterns ('clips/*.mp4'), URLs of fsspec (s3://bucket/*.mp4), or a "
            "manifest (.csv, .parquet) with the columns video, name, prompts, point, negative, box, text.",
        ),
    ],
    prompts: PromptOptions,
    phrases: FollowedPhraseOptions,
    frames: FrameOptions,
    memory: MemoryOptions,
    speed: UpdateOptions,
    backend: BackendOptions,
    loading: BundleOptions,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Folder of the result sets, which all workers see.")
    ],
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="HOST:PORT|auto", help="A Ray cluster; without it Ray is started here."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Workers, each of which runs one video at a time.")] = 1,
    cpus_per_worker: Annotated[
        int,
        typer.Option(min=1, help="Cores of a worker; also the threads of its stages without --threads."),
    ] = 1,
    gpus_per_worker: Annotated[float, typer.Option(min=0, help="GPUs of a worker; 0.25 puts four on one.")] = 0.0,
    retries: Annotated[int, typer.Option(min=0, help="How often a video is tried again, on another worker.")] = 2,
    format: Annotated[
        Literal["jsonl", "parquet"], typer.Option(help="Format of the masks, COCO RLE in both.")
    ] = "jsonl",
    overlay: Annotated[bool, typer.Option("--overlay", help="Also write a video with the masks drawn.")] = False,
    segment: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES",
            help="Split longer videos into segments that workers run side by side, for objects that --text finds.",
        ),
    ] = None,
    overlap: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="How long before its own frames a segment begins; its ids are matched with the segment before there.",
        ),
    ] = 5.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Run a sample here and estimate hours and bytes; write nothing.")
    ] = False,
) -> None:
    """Track objects through many videos on the workers of a Ray cluster.

    Every video gets a folder of its own, complete or not there. What is finished is not run again: repeat the command
    to go on after an interruption.
    """
    from masklet.runtime.cli.archive_videos import ArchiveOrder, archive_videos

    order = ArchiveOrder(
        bundle=loading.of(bundle),
        sources=tuple(sources),
        common=phrases.wanted(prompts.schedule(frames.first)),
        backend=backend.choice(),
        cut=frames.cut(),
        memory=memory.memory,
        limits=memory.limits(),
        update_interval=speed.update_interval,
        untuned=speed.untuned,
        out=output,
        ray=ray,
        workers=workers,
        cpus=cpus_per_worker,
        gpus=gpus_per_worker,
        retries=retries,
        format=format,
        overlay=overlay,
        split=None if segment is None else (segment, overlap),
        dry_run=dry_run,
    )
    raise typer.Exit(archive_videos(order))
