"""The verbs of single images: segment, everything. Imports here stay light, as in `verbs`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from masklet.runtime.cli.options import (
    BackendOption,
    Boxes,
    BundleFolder,
    Exemplars,
    GraphsOption,
    Masks,
    MinScore,
    Negatives,
    NoHashes,
    Points,
    ProviderOption,
    StrictOption,
    Texts,
)

Image = Annotated[Path, typer.Argument(metavar="IMAGE", help="A JPEG, PNG, WebP, BMP or TIFF file.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads a stage; all cores by default.")]
Picture = Annotated[
    Path | None, typer.Option("--overlay", metavar="FILE.png", help="The image with the masks drawn in.")
]


def segment(
    bundle: BundleFolder,
    image: Image,
    points: Points = [],  # noqa: B006 typer copies the default
    negatives: Negatives = [],  # noqa: B006
    boxes: Boxes = [],  # noqa: B006
    masks_in: Masks = [],  # noqa: B006
    texts: Texts = [],  # noqa: B006
    exemplars: Exemplars = [],  # noqa: B006
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="MASK.png", help="Palette PNG; a pixel's value is its object's id."),
    ] = None,
    overlay: Picture = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print id, score, box and COCO RLE of every mask as JSON.")
    ] = False,
    every: Annotated[
        bool, typer.Option("--all", help="With --json: all three masks of each prompt, not only the best.")
    ] = False,
    min_score: MinScore = 0.5,
    backend: BackendOption = "onnxruntime",
    provider: ProviderOption = "cpu",
    strict: StrictOption = False,
    cuda_graphs: GraphsOption = False,
    threads: Threads = None,
    no_hashes: NoHashes = False,
) -> None:
    """Segment an image: prompted objects, or a phrase's instances."""
    from masklet.runtime.cli.segment_image import ImageOutputs, say_where, segment_image
    from masklet.runtime.cli.segment_phrases import find_in_image
    from masklet.runtime.concepts.concept import parse_concepts
    from masklet.runtime.concepts.options import ConceptOptions
    from masklet.runtime.errors import PromptError
    from masklet.runtime.prompts.syntax import parse_prompts
    from masklet.runtime.startup.backend_choice import BackendChoice

    concepts = parse_concepts(texts, exemplars)
    if concepts and (points or negatives or boxes or masks_in):
        raise PromptError("points, boxes and masks are of one object, --text and --exemplar of all: give either")
    outputs = ImageOutputs(output, overlay, json, every)
    choice = BackendChoice(backend, provider, threads, strict, cuda_graphs)
    if concepts:
        options = ConceptOptions.of(min_score, hotstart=0)
        opened = partial(choice.sessions, tell=say_where)
        find_in_image(bundle, image, concepts, options, outputs, open_sessions=opened, check_hashes=not no_hashes)
        return
    prompts = parse_prompts(points=points, negatives=negatives, boxes=boxes, masks=masks_in)
    segment_image(bundle, image, prompts, outputs, backend=choice, check_hashes=not no_hashes)


def everything(
    bundle: BundleFolder,
    image: Image,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="MASKS.json", help="COCO dataset with RLE masks.")
    ] = None,
    overlay: Picture = None,
    points_per_side: Annotated[int, typer.Option(help="Of the grid of clicks on the whole image.")] = 32,
    points_per_batch: Annotated[int, typer.Option(help="Clicks that share a call of the decoder.")] = 64,
    min_predicted_iou: Annotated[float, typer.Option(help="Drop masks that the model predicts to be worse.")] = 0.88,
    min_stability: Annotated[float, typer.Option(help="Drop masks that change more with the threshold.")] = 0.95,
    stability_offset: Annotated[float, typer.Option(help="By how many logits that threshold moves.")] = 1.0,
    box_overlap: Annotated[float, typer.Option(help="IoU of boxes beyond which the worse mask is dropped.")] = 0.7,
    crop_layers: Annotated[int, typer.Option(help="Layers of crops: 1 adds 2 x 2, 2 adds 4 x 4 more.")] = 0,
    crop_overlap: Annotated[float, typer.Option(help="The same as --box-overlap between crops.")] = 0.7,
    crop_overlap_ratio: Annotated[float, typer.Option(help="Share of the shorter side that crops share.")] = 512 / 1500,
    crop_points_downscale: Annotated[int, typer.Option(help="Fewer points a side in each layer by this factor.")] = 1,
    min_region_area: Annotated[int, typer.Option(help="Remove smaller holes and islands, in pixels.")] = 0,
    min_area: Annotated[int, typer.Option(help="Drop smaller masks, in pixels.")] = 0,
    backend: BackendOption = "onnxruntime",
    provider: ProviderOption = "cpu",
    strict: StrictOption = False,
    cuda_graphs: GraphsOption = False,
    threads: Threads = None,
    no_hashes: NoHashes = False,
) -> None:
    """Find every mask of an image, without a prompt."""
    from masklet.runtime.cli.segment_image import everything_in_image
    from masklet.runtime.segmentation.everything import EverythingOptions
    from masklet.runtime.startup.backend_choice import BackendChoice

    options = EverythingOptions(
        points_per_side=points_per_side,
        points_per_batch=points_per_batch,
        min_predicted_iou=min_predicted_iou,
        min_stability=min_stability,
        stability_offset=stability_offset,
        box_overlap=box_overlap,
        crop_layers=crop_layers,
        crop_overlap=crop_overlap,
        crop_overlap_ratio=crop_overlap_ratio,
        crop_points_downscale=crop_points_downscale,
        min_region_area=min_region_area,
        min_area=min_area,
    )
    choice = BackendChoice(backend, provider, threads, strict, cuda_graphs)
    everything_in_image(bundle, image, options, output, overlay, backend=choice, check_hashes=not no_hashes)
