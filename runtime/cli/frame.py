"""The verb `masklet frame`: one frame of a source as a picture, with coordinates to read."""

from pathlib import Path
from typing import Annotated

import typer
from masklet.runtime.cli.option_groups import grouped
from masklet.runtime.cli.options import CameraOptions


@grouped
def frame(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A video, a folder of images, a camera, a stream.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.png", help="The picture to write.")],
    camera: CameraOptions,
    at: Annotated[int, typer.Option("--at", min=0, metavar="N", help="Number of the frame, from 0.")] = 0,
    max_side: Annotated[
        int | None, typer.Option(min=16, help="Shrink the frame to this longer side, as `masklet run` does.")
    ] = None,
    grid: Annotated[bool, typer.Option("--grid/--no-grid", help="Draw lines at round pixel coordinates.")] = True,
) -> None:
    """Write one frame as a PNG, with a grid of pixel coordinates.

    The coordinates are those that --point and --box take, for the same --max-side.
    """
    from masklet.runtime.cli.segment_image import check_output
    from masklet.runtime.errors import SourceError
    from masklet.runtime.pixels.grid import draw_grid, grid_step
    from masklet.runtime.pixels.png import png
    from masklet.runtime.sinks.output_file import write_whole
    from masklet.runtime.sources.opening import open_source

    check_output(output, ".png")
    with open_source(source, start=at, end=at + 1, max_side=max_side, feed=camera.feed()) as opened:
        found = next(iter(opened), None)
    if found is None:
        raise SourceError(f"{source}: the source ended before frame {at}")
    write_whole(output, png(draw_grid(found.image) if grid else found.image))
    height, width = found.hw
    lines = f", lines every {grid_step(found.hw)} pixels" if grid else ""
    typer.echo(f"{output}: frame {at} of {opened.name}, {width}x{height}{lines}")
