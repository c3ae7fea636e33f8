"""The verb `masklet archive`. Imports here stay light, as in `verbs`."""

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
    SegmentOptions,
    UpdateOptions,
    WorkerOptions,
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
    workers: WorkerOptions,
    segments: SegmentOptions,
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="FOLDER|URL",
            help="Where the result sets go: a folder that all workers see, or a URL of fsspec (s3://bucket/results).",
        ),
    ],
    format: Annotated[
        Literal["jsonl", "parquet"], typer.Option(help="Format of the masks, COCO RLE in both.")
    ] = "jsonl",
    overlay: Annotated[bool, typer.Option("--overlay", help="Also write a video with the masks drawn.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Run a sample here and estimate hours and bytes; write nothing.")
    ] = False,
) -> None:
    """Track objects through many videos on a Ray cluster.

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
        wanted=workers.wanted(),
        retries=workers.retries,
        format=format,
        overlay=overlay,
        split=segments.splitting(),
        dry_run=dry_run,
    )
    raise typer.Exit(archive_videos(order))
