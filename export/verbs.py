"""The verbs `masklet export` and `masklet verify`. torch is imported only when one of them runs."""

import importlib.util
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from masklet.runtime.errors import ExportError

if TYPE_CHECKING:
    from masklet.export.pipeline import Progress
    from masklet.runtime.bundle.manifest import Parity

NEEDED = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime", "safetensors")

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A Hugging Face id, a folder written by save_pretrained, or a weights file as its authors published it "
        "(.pt, .pth, .safetensors).",
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="BUNDLE", help="The folder to write.")]
ImageSizes = Annotated[
    list[str],
    typer.Option(
        "--image-size",
        metavar="PIXELS|WIDTHxHEIGHT",
        help="Size of the model's input, such as 512 or 1024x576; by default the checkpoint's. May be given several "
        "times: the bundle then has one variant per size, on the same weights, and the first runs by default.",
    ),
]
Foveated = Annotated[
    bool,
    typer.Option(
        "--foveated",
        help="Add a variant to each size whose memories are fine around the object and coarse elsewhere (SAM 2, "
        "SAM 3).",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")]
CandidatePointers = Annotated[
    bool,
    typer.Option(
        "--candidate-pointers",
        help="Make the mask decoder return the object pointer of every candidate mask; `--memory samurai` needs them.",
    ),
]
_FILE_OPTIONS = "Weights file"
FamilyName = Annotated[
    str | None, typer.Option("--family", help="Model family; recognised by default.", rich_help_panel=_FILE_OPTIONS)
]
Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.yaml",
        help="The YAML config that the model was built or trained with, for a size that was never published.",
        rich_help_panel=_FILE_OPTIONS,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Which weights of a training checkpoint to use; by default its moving average (EMA), if it has one.",
        rich_help_panel=_FILE_OPTIONS,
    ),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Tensors to leave out, such as 'my_head.*'. May be given several times.",
        rich_help_panel=_FILE_OPTIONS,
    ),
]
TokenizerSource = Annotated[
    str | None,
    typer.Option(
        "--tokenizer",
        metavar="FILE|FOLDER|ID",
        help="The tokenizer of SAM 3: bpe_simple_vocab_16e6.txt.gz of Meta's repository, a folder with tokenizer.json, "
        "or a hub id; looked for beside the file if absent.",
        rich_help_panel=_FILE_OPTIONS,
    ),
]
BundlePath = Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle to check.")]
Reference = Annotated[str | None, typer.Option(metavar="MODEL", help="Compare every graph with this checkpoint again.")]


def export(
    model: Model,
    output: Output,
    image_size: ImageSizes = [],  # noqa: B006
    foveated: Foveated = False,
    candidate_pointers: CandidatePointers = False,
    force: Force = False,
    family: FamilyName = None,
    config: Config = None,
    weights: Weights = None,
    ignore: Ignore = None,
    tokenizer: TokenizerSource = None,
) -> None:
    """Export a checkpoint to a bundle: one ONNX graph per stage.

    Each graph is compared with the checkpoint's own modules while it is exported.
    """
    require_export_extra()
    sizes: list[tuple[int, int] | None] = [parse_image_size(text) for text in image_size]
    if len(set(sizes)) < len(sizes):
        raise ExportError(f"--image-size {' '.join(image_size)}: a size is given twice; leave one out")
    with _status() as progress:
        from masklet.export.checkpoints.recognise import FileOptions
        from masklet.export.family import Form
        from masklet.export.pipeline import export_bundle

        exported = export_bundle(
            model,
            output,
            [Form(size, token) for size in sizes or [None] for token in ([False, True] if foveated else [False])],
            options=FileOptions(family, config, weights, tuple(ignore or ()), tokenizer),
            candidate_pointers=candidate_pointers,
            replace=force,
            progress=progress,
        )
    several = len(exported.variants) > 1
    for variant in exported.variants:
        print_figures(variant.parity, f", variant {variant.model.form}" if several else "")
    if exported.taken:
        typer.echo(f"{model}: {exported.taken}")
    first = exported.variants[0].model
    typer.echo(f"{output}: {first.family} {first.variant}, {' and '.join(v.model.form for v in exported.variants)} px")


def parse_image_size(text: str) -> tuple[int, int]:
    """Read `512` or `1024x576`, width x height. Returns height and width. Raises ExportError for anything else."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise ExportError(f"--image-size {text}: expected one number of pixels, or WIDTHxHEIGHT such as 1024x576")
    return int(parts[-1]), int(parts[0])


def verify(
    bundle: BundlePath,
    reference: Reference = None,
    family: FamilyName = None,
    config: Config = None,
    weights: Weights = None,
    ignore: Ignore = None,
) -> None:
    """Check a bundle: its hashes, and with --reference its graphs."""
    from masklet.runtime.bundle.bundle import Bundle

    loaded = Bundle.load(bundle)
    typer.echo(f"{bundle}: {len(loaded.manifest.files())} files, every hash matches the manifest")
    if reference is None:
        return
    require_export_extra()
    with _status() as progress:
        from masklet.export import parity
        from masklet.export.checkpoints.recognise import FileOptions
        from masklet.export.pipeline import compare_bundle

        options = FileOptions(family, config, weights, tuple(ignore or ()))
        forms = [variant.model.form for variant in loaded.manifest.all_variants()]
        found = {form: tuple(compare_bundle(loaded.variant(form), reference, progress, options)) for form in forms}
    for form, figures in found.items():
        print_figures(figures, f", variant {form}" if len(forms) > 1 else "")
        parity.require(figures)


def require_export_extra() -> None:
    """Raise ExportError if a package that exporting needs is not installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f"exporting needs {', '.join(missing)}; install it with: pip install 'masklet[export]'")


def print_figures(figures: "Iterable[Parity]", of: str = "") -> None:
    """Print the difference of each output from the checkpoint's, as a table. of: added to the title."""
    from rich.console import Console
    from rich.table import Table

    table = Table("stage", "format", "output", title=f"difference from the checkpoint{of}")
    table.add_column("relative", justify="right")
    table.add_column("max abs", justify="right")
    for f in figures:
        table.add_row(f.stage, f.format, f.output, f"{f.relative:.1e}", f"{f.max_abs:.1e}")
    Console().print(table)


@contextmanager
def _status() -> "Iterator[Progress]":
    """Show the current step on standard error, with a spinner if it is a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("starting") as status:
        yield status.update
