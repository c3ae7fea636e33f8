"""The verb `masklet convert`. Imports here stay light, as in `verbs`."""

from pathlib import Path
from typing import Annotated

import typer
from masklet.runtime.convert.known import known_formats


def convert(
    masks: Annotated[
        Path, typer.Argument(metavar="MASKS", help="A file that `masklet run --masks` wrote, or what --from says.")
    ],
    to: Annotated[
        str,
        typer.Option(
            metavar="|".join(known_formats()),
            help="; ".join(f"{one.name}: {one.what}" for one in known_formats().values()) + ".",
        ),
    ],
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="|".join(one.name for one in known_formats().values() if one.read) + "|masks",
            help="Format of MASKS.",
        ),
    ] = "masks",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="PATH", help="Where to write; by default beside MASKS, named after it."),
    ] = None,
    images: Annotated[
        str, typer.Option(metavar="PATTERN", help="File names of the frames' images, for formats that contain them.")
    ] = "{frame:05d}.jpg",
    prompts: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Prompts file with the objects' names, which become the labels."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
) -> None:
    """Convert masks to the format of another tool, or from it.

    An object's label is its name, its phrase, or 'object'.
    """
    from masklet.runtime.convert.convert import convert_masks
    from masklet.runtime.convert.known import format_called
    from masklet.runtime.prompts.prompt_file import read_prompt_file

    of = format_called("--from", source)
    names = {} if prompts is None else read_prompt_file(prompts).names
    typer.echo(convert_masks(masks, of, format_called("--to", to), output, names, images, replace=force))
