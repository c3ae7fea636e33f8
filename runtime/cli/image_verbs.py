"""The verbs of single images: segment, everything. Imports here stay light, as in `verbs`."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from masklet.runtime.cli.option_groups import OptionGroup, grouped
from masklet.runtime.cli.options import BackendOptions, BundleFolder, BundleOptions, PhraseOptions, PromptOptions

if TYPE_CHECKING:
    from masklet.runtime.segmentation.everything import EverythingOptions

Image = Annotated[Path, typer.Argument(metavar="IMAGE", help="A JPEG, PNG, WebP, BMP or TIFF file.")]
Picture = Annotated[
    Path | None, typer.Option("--overlay", metavar="FILE.png", help="The image with the masks drawn in.")
]


@grouped
def segment(
    bundle: BundleFolder,
    image: Image,
    prompts: PromptOptions,
    phrases: PhraseOptions,
    backend: BackendOptions,
    loading: BundleOptions,
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
) -> None:
    """Segment an image: prompted objects, or a phrase's instances."""
    from masklet.runtime.cli.segment_image import ImageOutputs, say_where, segment_image
    from masklet.runtime.cli.segment_phrases import find_in_image
    from masklet.runtime.concepts.options import ConceptOptions
    from masklet.runtime.errors import PromptError

    concepts = phrases.concepts()
    if concepts and prompts:
        raise PromptError("points, boxes and masks prompt one object, --text and --exemplar find all; give either")
    outputs = ImageOutputs(output, overlay, json, every)
    choice = backend.choice()
    if concepts:
        options = ConceptOptions.of(phrases.min_score, hotstart=0)
        opened = partial(choice.sessions, tell=say_where)
        find_in_image(loading.of(bundle), image, concepts, options, outputs, open_sessions=opened)
        return
    segment_image(loading.of(bundle), image, prompts.schedule(), outputs, backend=choice)


@dataclass(frozen=True)
class EverythingSettings(OptionGroup):
    """Where points are placed, and which masks are kept."""

    panel = "Masks"
    points_per_side: Annotated[int, typer.Option(help="Points per side of the grid on the whole image.")] = 32
    points_per_batch: Annotated[int, typer.Option(help="Points per decoder call.")] = 64
    min_predicted_iou: Annotated[float, typer.Option(help="Drop masks with a lower predicted IoU.")] = 0.88
    min_stability: Annotated[float, typer.Option(help="Drop masks less stable: IoU at two thresholds.")] = 0.95
    stability_offset: Annotated[float, typer.Option(help="Logits by which these thresholds differ from 0.")] = 1.0
    box_overlap: Annotated[float, typer.Option(help="Of masks whose boxes have a higher IoU, drop the worse.")] = 0.7
    crop_layers: Annotated[int, typer.Option(help="Layers of crops: 1 adds 2 x 2 crops, 2 adds 4 x 4 more.")] = 0
    crop_overlap: Annotated[float, typer.Option(help="The same as --box-overlap between crops.")] = 0.7
    crop_overlap_ratio: Annotated[float, typer.Option(help="Overlap of crops / shorter side.")] = 512 / 1500
    crop_points_downscale: Annotated[int, typer.Option(help="Divide the points per side by this in each layer.")] = 1
    min_region_area: Annotated[int, typer.Option(help="Remove smaller holes and islands, in pixels.")] = 0
    min_area: Annotated[int, typer.Option(help="Drop smaller masks, in pixels.")] = 0

    def options(self) -> "EverythingOptions":
        """The options in the form of the Python API. Raises PromptError for values out of range."""
        from masklet.runtime.segmentation.everything import EverythingOptions

        return EverythingOptions(**self.__dict__)


@grouped
def everything(
    bundle: BundleFolder,
    image: Image,
    settings: EverythingSettings,
    backend: BackendOptions,
    loading: BundleOptions,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="MASKS.json", help="COCO dataset with RLE masks.")
    ] = None,
    overlay: Picture = None,
) -> None:
    """Find every mask of an image, without a prompt."""
    from masklet.runtime.cli.segment_image import everything_in_image

    chosen, choice = loading.of(bundle), backend.choice()
    everything_in_image(chosen, image, settings.options(), output, overlay, backend=choice)
