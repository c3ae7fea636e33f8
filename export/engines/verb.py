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
        int | None, typer.Option(min=1, help="Scratch memory of an engine; the device profile's if absent.")
    ] = None
    timing_cache: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Measured tactics: read there, and kept there.")
    ] = None
    compute_capability: Annotated[
        list[str], typer.Option(metavar="X.Y", help="TensorRT for RTX: build for this architecture; repeats.")
    ] = field(default_factory=list)
    hardware_compatible: Annotated[
        bool, typer.Option("--hardware-compatible", help="TensorRT: for every GPU from Ampere on; slower.")
    ] = False
    version_compatible: Annotated[
        bool,
        typer.Option(
            "--version-compatible",
            help="TensorRT: later releases of its major version load it, where the lean runtime of this one is, too.",
        ),
    ] = False
    refit: Annotated[bool, typer.Option("--refit", help="Weights can be replaced, by tools of TensorRT.")] = False
    strip_weights: Annotated[
        bool,
        typer.Option("--strip-weights", help="Leave the weights out; they come from the graph when it is loaded."),
    ] = False
    no_tf32: Annotated[bool, typer.Option("--no-tf32", help="FP32 products keep all their bits.")] = False

    def build_options(self) -> "BuildOptions":
        """The options as the builder takes them."""
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
        typer.Option(help="TensorRT builds on the GPU that it is for, TensorRT for RTX without one."),
    ],
    engines: EngineOptions,
    loading: BundleOptions,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A device profile such as jetson-orin-nano-8gb (a wrong name lists all), or a .toml file of your own; "
            "by default that of the GPU which is here, or any device.",
        ),
    ] = None,
    stages: Annotated[list[str], typer.Option("--stage", help="Build this stage only; repeats.")] = [],  # noqa: B006
    force: Annotated[
        bool, typer.Option("--force", "--rebuild", help="Build what is up to date, or foretold not to fit, too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only foretell the memory.")] = False,
) -> None:
    """Build TensorRT engines from a bundle's graphs.

    There is one engine a stage; they go into the bundle, beside the graphs.
    """
    from masklet.export.engines.build_bundle import BuildRequest, run_build

    chosen = loading.of(bundle)
    run_build(BuildRequest(chosen, backend, device, tuple(stages), engines.build_options(), force, dry_run))
