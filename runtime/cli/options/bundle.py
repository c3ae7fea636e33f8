"""Which bundle is loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from masklet.runtime.cli.option_groups import OptionGroup

if TYPE_CHECKING:
    from masklet.runtime.bundle.bundle import BundleChoice


NoHashes = Annotated[
    bool,
    typer.Option("--no-hashes", help="Do not check the hashes of the bundle's files; the manifest is still checked."),
]
BundleFolder = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A folder that `masklet export` wrote.")]


@dataclass(frozen=True)
class BundleOptions(OptionGroup):
    """Which variant of the model is loaded, and how thoroughly the bundle is checked."""

    panel = "Bundle"
    variant: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Variant of the model, such as 512, 1024x576 or 1024-foveated; `masklet inspect` lists them, and the "
            "first one runs by default.",
        ),
    ] = None
    no_hashes: NoHashes = False

    def of(self, root: Path) -> "BundleChoice":
        """The bundle in a folder, with these options."""
        from masklet.runtime.bundle.bundle import BundleChoice

        return BundleChoice(root, self.variant, not self.no_hashes)
