"""The runtime's verbs: run, inspect, doctor. Imports here stay light, since `masklet --help` loads every verb."""

from typing import Annotated

import typer
from masklet.runtime.cli.option_groups import grouped
from masklet.runtime.cli.options import (
    BackendOptions,
    BundleFolder,
    BundleOptions,
    CameraOptions,
    MemoryOptions,
    OutputOptions,
    PromptOptions,
    ReversibleFrameOptions,
    SpeedOptions,
    StreamedPhraseOptions,
)
from masklet.runtime.cli.options.streams import StreamOptions

Leaving = Annotated[
    list[str],
    typer.Option(
        "--remove", metavar="ID@FRAME", help="Stop tracking an object before a frame; may be given several times."
    ),
]


@grouped
def run(
    bundle: BundleFolder,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Videos, folders of images, images, bags; 0, /dev/video0, rtsp://HOST/PATH, csi://0, gst:PIPELINE, or "
            "- for raw frames; env:NAME for one that an environment variable holds. Several run at once, numbered from "
            "1.",
        ),
    ],
    prompts: PromptOptions,
    phrases: StreamedPhraseOptions,
    outputs: OutputOptions,
    frames: ReversibleFrameOptions,
    camera: CameraOptions,
    watching: StreamOptions,
    memory: MemoryOptions,
    speed: SpeedOptions,
    backend: BackendOptions,
    loading: BundleOptions,
    removals: Leaving = [],  # noqa: B006 typer copies the default
    non_overlapping: Annotated[
        bool, typer.Option("--non-overlapping", help="Give each pixel to one object at most.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check options, prompts and bundle; open no source, write nothing.")
    ] = False,
) -> None:
    """Track objects through videos, cameras and streams.

    Objects are prompted, or found as instances of a phrase.

    With --text, points refine the instances: they apply from the second frame on and name objects by their ids.
    With several sources, a prompt STREAM/[ID][@FRAME]:... is for one stream and any other prompt for all of them, and
    {stream} in a path stands for the stream's number.
    """
    from masklet.runtime.cli.open_stream import RunOptions
    from masklet.runtime.cli.run_streams import check_run, orders, run_streams
    from masklet.runtime.prompts.syntax import parse_removals

    options = RunOptions(
        cut=frames.cut(),
        feed=camera.feed(),
        policy=watching.policy(),
        patience=watching.patience(),
        concepts=phrases.concepts(),
        found_with=phrases.found_with(),
        non_overlapping=non_overlapping,
        backend=backend.choice(),
        state=watching.state,
        state_every_s=watching.state_every,
        metrics=watching.metrics,
        view=watching.view,
        log_json=watching.log_json,
        memory=memory.memory,
        limits=memory.limits(),
        update_interval=speed.update_interval,
        target_fps=speed.target_fps,
        untuned=speed.untuned,
        removals=parse_removals(removals),
    )
    schedules = [prompts.schedule_of(n, len(sources), frames.first) for n in range(1, len(sources) + 1)]
    wanted = orders(sources, schedules, outputs.outputs(), options)
    (check_run if dry_run else run_streams)(loading.of(bundle), wanted, options)


@grouped
def inspect(
    bundle: BundleFolder,
    loading: BundleOptions,
    json: Annotated[bool, typer.Option("--json", help="Print the manifest and the sums as JSON.")] = False,
) -> None:
    """Show what a bundle holds, and how exact it is.

    Its stages with shapes, sizes, precision and parity, and what `--backend auto` chose for it.
    """
    from masklet.runtime.backends.placement.kept import kept_placements
    from masklet.runtime.bundle.describe import show
    from masklet.runtime.cli.placements import show_placements
    from masklet.runtime.tracking.known_policies import bank_sizes

    loaded = loading.of(bundle).load()
    placements = kept_placements(loaded)
    show(loaded, bank_sizes(loaded.model), as_json=json, placements=placements)
    if not json:
        show_placements(placements)


def doctor(json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False) -> None:
    """Show what is installed, and which features lack a package."""
    from masklet.runtime.cli.doctor import report

    report(as_json=json)
