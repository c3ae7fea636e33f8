"""The runtime's verbs: run, inspect, doctor. Imports here stay light, since `masklet --help` loads every verb."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from masklet.runtime.cli.options import (
    BackendOption,
    Boxes,
    BundleFolder,
    Exemplars,
    ForgetAfter,
    GraphsOption,
    Hotstart,
    Masks,
    MaxObjects,
    MemoryOption,
    MinScore,
    Negatives,
    NoHashes,
    Points,
    ProviderOption,
    StrictOption,
    Texts,
)


def run(
    bundle: BundleFolder,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Videos, folders of images, images; 0, /dev/video0, rtsp://HOST/PATH, csi://0, gst:PIPELINE, or - "
            "for raw frames. Several run at once, numbered from 1.",
        ),
    ],
    points: Points = [],  # noqa: B006 typer copies the default
    negatives: Negatives = [],  # noqa: B006
    boxes: Boxes = [],  # noqa: B006
    masks_in: Masks = [],  # noqa: B006
    texts: Texts = [],  # noqa: B006
    exemplars: Exemplars = [],  # noqa: B006
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
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Of a camera's or raw frames, in pixels.")] = None,
    rate: Annotated[float | None, typer.Option(help="Of a camera or raw frames, in frames/s.")] = None,
    pixel_format: Annotated[
        str | None,
        typer.Option(help="Of a camera's or raw frames: yuyv422, mjpeg, nv12, rgb24, ..."),
    ] = None,
    every_frame: Annotated[
        bool | None,
        typer.Option(
            "--every-frame/--newest",
            help="Run every frame, or drop those that come too fast; by default as files and cameras need it.",
        ),
    ] = None,
    silence: Annotated[float, typer.Option(min=0.1, help="Say so after as many seconds without a frame.")] = 5.0,
    give_up: Annotated[
        float | None,
        typer.Option(min=0.1, help="End after as many seconds without a frame; never by default."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep the state there, and go on from it."),
    ] = None,
    state_every: Annotated[float, typer.Option(min=0.0, help="Seconds between two saves of it.")] = 10.0,
    metrics: Annotated[
        str | None,
        typer.Option(metavar="[HOST:]PORT", help="Serve figures for Prometheus there."),
    ] = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log as JSON, a line an event.")] = False,
    memory: MemoryOption = None,
    min_score: MinScore = 0.5,
    hotstart: Hotstart = 15,
    max_objects: MaxObjects = 10_000,
    forget_after: ForgetAfter = 0,
    non_overlapping: Annotated[
        bool, typer.Option("--non-overlapping", help="Give each pixel to one object at most.")
    ] = False,
    backend: BackendOption = "onnxruntime",
    provider: ProviderOption = "cpu",
    strict: StrictOption = False,
    cuda_graphs: GraphsOption = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads a stage; all cores by default.")] = None,
    no_hashes: NoHashes = False,
) -> None:
    """Track objects through videos, cameras and streams.

    Objects are prompted, or found as instances of a phrase.

    Text finds, points refine: with --text, prompts count from the second frame on, and name objects by their ids.
    With several sources, a prompt STREAM/[ID][@FRAME]:... is for that one, any other for every one, and {stream} in
    a path stands for the number.
    """
    from masklet.runtime.cli.open_stream import RunOptions, frame_policy
    from masklet.runtime.cli.per_stream import prompts_of
    from masklet.runtime.cli.run_streams import orders, run_streams
    from masklet.runtime.concepts.concept import parse_concepts
    from masklet.runtime.concepts.options import ConceptOptions
    from masklet.runtime.prompts.syntax import parse_prompts
    from masklet.runtime.sinks.outputs import Outputs
    from masklet.runtime.sources.source import FeedOptions, parse_size
    from masklet.runtime.startup.backend_choice import BackendChoice
    from masklet.runtime.streams.supervise import Patience

    forms = {"points": points, "negatives": negatives, "boxes": boxes, "masks": masks_in}
    schedules = [
        parse_prompts(**{form: prompts_of(texts, n, len(sources)) for form, texts in forms.items()})
        for n in range(1, len(sources) + 1)
    ]
    options = RunOptions(
        cut={"start": start, "end": end, "stride": stride, "max_side": max_side, "reverse": reverse},
        feed=FeedOptions(None if size is None else parse_size(size), rate, pixel_format),
        policy=frame_policy(every_frame),
        patience=Patience(silence, give_up),
        concepts=parse_concepts(texts, exemplars),
        found_with=replace(ConceptOptions.of(min_score, hotstart), max_objects=max_objects, forget_after=forget_after),
        non_overlapping=non_overlapping,
        backend=BackendChoice(backend, provider, threads, strict, cuda_graphs),
        check_hashes=not no_hashes,
        state=state,
        state_every_s=state_every,
        metrics=metrics,
        log_json=log_json,
        memory=memory,
    )
    run_streams(bundle, orders(sources, schedules, Outputs(overlay, masks, pngs), options), options)


def inspect(
    bundle: BundleFolder,
    json: Annotated[bool, typer.Option("--json", help="Print the manifest and the sums as JSON.")] = False,
    no_hashes: NoHashes = False,
) -> None:
    """Show a bundle's stages, shapes, sizes, precision and parity."""
    from masklet.runtime.bundle.bundle import Bundle
    from masklet.runtime.bundle.describe import show
    from masklet.runtime.tracking.known_policies import bank_sizes

    loaded = Bundle.load(bundle, check_hashes=not no_hashes)
    show(loaded, bank_sizes(loaded.model), as_json=json)


def doctor() -> None:
    """Say what is installed here, and what is missing for what."""
    from masklet.runtime.cli.doctor import report

    report()
