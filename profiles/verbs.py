"""The verb `masklet profile`. Imports here stay light, since `masklet --help` loads every verb."""

from pathlib import Path
from typing import Annotated

import typer
from masklet.runtime.cli.options import (
    BackendOption,
    Boxes,
    Exemplars,
    GraphsOption,
    Hotstart,
    Masks,
    MinScore,
    Negatives,
    NoHashes,
    Points,
    ProviderOption,
    StrictOption,
    Texts,
)
from masklet.runtime.errors import MaskletError


def profile(
    bundle: Annotated[
        Path | None, typer.Argument(metavar="BUNDLE", help="A folder that `masklet export` wrote.")
    ] = None,
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help="A video, or a folder of images.")] = None,
    sizes: Annotated[list[str] | None, typer.Argument(metavar="SIZES", help="More sizes of --sweep.")] = None,
    points: Points = [],  # noqa: B006 typer copies the default
    negatives: Negatives = [],  # noqa: B006
    boxes: Boxes = [],  # noqa: B006
    masks_in: Masks = [],  # noqa: B006
    texts: Texts = [],  # noqa: B006
    exemplars: Exemplars = [],  # noqa: B006
    min_score: MinScore = 0.5,
    hotstart: Hotstart = 15,
    json: Annotated[Path | None, typer.Option("--json", help="The report as JSON; --compare reads it.")] = None,
    trace: Annotated[Path | None, typer.Option("--trace", help="A trace for ui.perfetto.dev.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="The report as one page with charts.")] = None,
    warmup: Annotated[
        int | None, typer.Option(min=0, help="Frames to leave out at the start; until the memory is full by default.")
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(metavar="SIZES", help="Go through objects=1,2,4 and memory=1,3,7 and show how the cost grows."),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(metavar="A.json B.json", help="Compare two reports instead.")
    ] = None,
    overlay: Annotated[Path | None, typer.Option("-o", "--overlay", help="Write this video too, and time it.")] = None,
    masks: Annotated[Path | None, typer.Option("--masks", help="Write masks as JSON lines too, and time it.")] = None,
    start: Annotated[int, typer.Option(min=0, help="First frame to run.")] = 0,
    end: Annotated[int | None, typer.Option(help="Frame to stop before.")] = None,
    stride: Annotated[int, typer.Option(min=1, help="Run every n-th frame.")] = 1,
    max_side: Annotated[int | None, typer.Option(min=16, help="Shrink frames to this longer side.")] = None,
    backend: BackendOption = "onnxruntime",
    provider: ProviderOption = "cpu",
    strict: StrictOption = False,
    cuda_graphs: GraphsOption = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads a stage; all cores by default.")] = None,
    no_hashes: NoHashes = False,
) -> None:
    """Say where every millisecond of a frame goes.

    On a GPU each stage is waited for, so that its time is its own. With --text a phrase is encoded once, before the
    first frame, and in none of them.
    """
    from masklet.profiles.command import Reports, run_compare, run_profile
    from masklet.profiles.model.growth import is_axis, parse_sweep
    from masklet.profiles.pipeline import Request
    from masklet.runtime.concepts.concept import parse_concepts
    from masklet.runtime.concepts.options import ConceptOptions
    from masklet.runtime.prompts.syntax import parse_prompts
    from masklet.runtime.sinks.outputs import Outputs
    from masklet.runtime.startup.backend_choice import BackendChoice

    given = [word for word in (bundle and str(bundle), source, *(sizes or ())) if word is not None]
    if compare is not None:
        if given:
            raise MaskletError(f"--compare reads two reports and runs nothing; leave out {' '.join(given)}")
        run_compare(compare)
        return
    named = [word for word in given if not is_axis(word)]
    if len(named) != 2:
        raise MaskletError(f"wanted BUNDLE and SOURCE, or --compare A.json B.json; got {' '.join(named) or 'neither'}")
    axes = [*(sweep or ()), *filter(is_axis, given)]
    if axes and not sweep:
        raise MaskletError(f"{' '.join(axes)}: sizes belong behind --sweep")
    request = Request(
        named[1],
        parse_prompts(points=points, negatives=negatives, boxes=boxes, masks=masks_in),
        Outputs(overlay=overlay, masks=masks),
        {"start": start, "end": end, "stride": stride, "max_side": max_side},
        BackendChoice(backend, provider, threads, strict, cuda_graphs),
        parse_concepts(texts, exemplars),
        ConceptOptions.of(min_score, hotstart),
        warmup=warmup,
        sweep=parse_sweep(axes) if axes else None,
    )
    run_profile(Path(named[0]), request, Reports(json, trace, html), check_hashes=not no_hashes)
