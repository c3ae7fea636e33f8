"""The verb `masklet diagnose`. Imports here stay light, since `masklet --help` loads every verb."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from masklet.runtime.cli.option_groups import OptionGroup, grouped
from masklet.runtime.cli.options import BundleFolder, BundleOptions, FrameOptions, MemoryOptions, PromptOptions
from masklet.runtime.extras import require_extra

if TYPE_CHECKING:
    from masklet.runtime.bundle.bundle import BundleChoice


@dataclass(frozen=True)
class TransformOptions(OptionGroup):
    """How the clip is made harder."""

    panel = "Transformations"
    transform: Annotated[
        list[str],
        typer.Option(
            metavar="NAME[:LEVEL]",
            help="Also run the clip transformed: occlusion, illumination, speed, viewpoint, clutter, all of these, or "
            "long; at level 1, 2 or 3, or at all of them. May be given several times.",
        ),
    ] = field(default_factory=list)
    seed: Annotated[int, typer.Option(min=0, help="Seed of the transformations.")] = 0
    write: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the transformed clips there, as DAVIS folders.")
    ] = None


@dataclass(frozen=True)
class AgainstOptions(OptionGroup):
    """What the bundle is compared with."""

    panel = "Comparison"
    against: Annotated[
        Path | None, typer.Option(metavar="BUNDLE2", help="Run another bundle as well, such as an INT8 one.")
    ] = None
    against_variant: Annotated[
        str | None, typer.Option(metavar="NAME", help="Run another variant of the model as well.")
    ] = None
    against_memory: Annotated[str | None, typer.Option(metavar="POLICY", help="Run another memory policy as well.")] = (
        None
    )

    def of(self, bundle: Path, *, check_hashes: bool) -> "BundleChoice | None":
        """The other bundle, or another variant of the same one; None where there is neither."""
        from masklet.runtime.bundle.bundle import BundleChoice

        if self.against is None and self.against_variant is None:
            return None
        return BundleChoice(self.against or bundle, self.against_variant, check_hashes)


@grouped
def diagnose(
    bundle: BundleFolder,
    source: Annotated[str, typer.Argument(metavar="CLIP", help="A video or a folder of images.")],
    prompts: PromptOptions,
    frames: FrameOptions,
    memory: MemoryOptions,
    transforms: TransformOptions,
    comparison: AgainstOptions,
    loading: BundleOptions,
    truth: Annotated[
        Path | None, typer.Option(metavar="MASKS", help="True masks: DAVIS PNGs, or JSON lines of COCO RLE.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as one HTML page.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every measure as JSON.")] = None,
    attention: Annotated[
        bool, typer.Option("--attention/--no-attention", help="Measure where memory attention looks.")
    ] = True,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of each stage; all cores by default.")] = None,
) -> None:
    """Find where a model loses an object, and what can be done.

    The bundle runs over a clip with true masks, and what it knows of each object is read at five positions on every
    frame: image embedding, memory attention, prompt attention, mask and memory. For each object that is lost the first
    position that lost it is named. Without prompts, the objects of the first true mask are followed.
    """
    require_extra("calibrate", "diagnosing")
    from masklet.calibration.clips.clips import Clip
    from masklet.calibration.diagnosis.diagnose_bundle import DiagnosisRequest, run_diagnose
    from masklet.calibration.diagnosis.transformations.transformation import parse_transformations

    request = DiagnosisRequest(
        bundle=loading.of(bundle),
        memory=memory.memory,
        limits=memory.limits(),
        against=comparison.of(bundle, check_hashes=not loading.no_hashes),
        against_memory=comparison.against_memory,
        truth=truth,
        transformations=parse_transformations(transforms.transform),
        html=html,
        json=json,
        write=transforms.write,
        shares=attention,
        seed=transforms.seed,
        threads=threads,
    )
    run_diagnose(request, Clip(source, prompts.schedule(frames.first), frames.cut()))
