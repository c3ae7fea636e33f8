"""The verb `masklet build`. Imports here stay light, since `masklet --help` loads every verb."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from masklet.runtime.cli.option_groups import OptionGroup, grouped
from masklet.runtime.cli.options import BundleFolder, BundleOptions

if TYPE_CHECKING:
    from masklet.export.engines.build import BuildOptions


@dataclass(frozen=True)
class EngineOptions(OptionGroup):
    """How engines are built."""

    panel = "Engines"
    workspace_mb: Annotated[
        int | None, typer.Option(min=1, help="Scratch memory of an engine; by default the device profile's.")
    ] = None
    timing_cache: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Cache of measured tactics, read and updated.")
    ] = None
    compute_capability: Annotated[
        list[str],
        typer.Option(metavar="X.Y", help="TensorRT for RTX: build for this architecture; may be given several times."),
    ] = field(default_factory=list)
    hardware_compatible: Annotated[
        bool, typer.Option("--hardware-compatible", help="TensorRT: build for every GPU from Ampere on; slower.")
    ] = False
    version_compatible: Annotated[
        bool,
        typer.Option(
            "--version-compatible",
            help="TensorRT: let later releases of the same major version load the engine; they need the lean runtime "
            "of this release.",
        ),
    ] = False
    refit: Annotated[bool, typer.Option("--refit", help="Let TensorRT's tools replace the weights later.")] = False
    strip_weights: Annotated[
        bool,
        typer.Option("--strip-weights", help="Leave the weights out; loading reads them from the graph."),
    ] = False
    no_tf32: Annotated[bool, typer.Option("--no-tf32", help="Compute FP32 products in full FP32.")] = False

    def build_options(self) -> "BuildOptions":
        """The options in the form that the builder takes."""
        from masklet.export.engines.build import BuildOptions

        return BuildOptions(
            workspace_mb=self.workspace_mb,
            compute_capabilities=tuple(self.compute_capability),
            hardware_compatible=self.hardware_compatible,
            version_compatible=self.version_compatible,
            refit=self.refit,
            strip_weights=self.strip_weights,
            tf32=not self.no_tf32,
            timing_cache=self.timing_cache,
        )


@grouped
def build(
    bundle: BundleFolder,
    backend: Annotated[
        Literal["tensorrt", "tensorrt-rtx"],
        typer.Option(help="tensorrt must build on the GPU that will run the engines; tensorrt-rtx needs no GPU."),
    ],
    engines: EngineOptions,
    loading: BundleOptions,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A device profile such as jetson-orin-nano-8gb (an unknown name lists all), or your own .toml file; "
            "by default the one of this machine's GPU, or any device.",
        ),
    ] = None,
    stages: Annotated[
        list[str], typer.Option("--stage", help="Build this stage only; may be given several times.")
    ] = [],  # noqa: B006
    force: Annotated[
        bool,
        typer.Option("--force", "--rebuild", help="Also build engines that are up to date or predicted not to fit."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only predict the memory; build nothing.")] = False,
) -> None:
    """Build TensorRT engines from a bundle's graphs.

    There is one engine per stage. They are stored in the bundle, beside the graphs.
    """
    from masklet.export.engines.build_bundle import BuildRequest, run_build

    chosen = loading.of(bundle)
    run_build(BuildRequest(chosen, backend, device, tuple(stages), engines.build_options(), force, dry_run))
