"""The verb `masklet serve`. Imports here stay light, as in `verbs`."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from masklet.runtime.cli.option_groups import grouped
from masklet.runtime.cli.options import BundleFolder, BundleOptions


@grouped
def serve(
    bundle: BundleFolder,
    loading: BundleOptions,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="MODEL_REPOSITORY", help="Folder of the server's models; others in it stay."
        ),
    ],
    engine: Annotated[
        Literal["onnxruntime", "tensorrt"],
        typer.Option(help="What Triton runs stages with; tensorrt needs the engines of `masklet build`."),
    ] = "onnxruntime",
    device: Annotated[
        Literal["cpu", "gpu", "auto"],
        typer.Option(help="Where instances run; for cpu the graphs with ONNX Runtime's fused operators are taken."),
    ] = "auto",
    instances: Annotated[int, typer.Option(min=1, help="Instances of each stage, on each GPU.")] = 1,
    max_batch: Annotated[
        int, typer.Option(min=1, help="Most objects or phrases of a request, for stages that are batched.")
    ] = 64,
    queue_delay_us: Annotated[
        int, typer.Option(min=0, help="Microseconds that a request waits for others to be batched with.")
    ] = 0,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What the models' names begin with; by default family, variant and size."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace models of the same names.")] = False,
) -> None:
    """Write a model repository for Triton.

    It has a model per stage, and one from an image to masks. The version of a model is the hash of its graph; `masklet
    run --backend kserve` asks for exactly that version.
    """
    from masklet.runtime.serving.model_config import ServerOptions
    from masklet.runtime.serving.repository import write_repository
    from masklet.runtime.serving.traffic import stage_traffic

    options = ServerOptions(device, instances, max_batch, queue_delay_us)
    loaded = loading.of(bundle).load()
    names = write_repository(loaded, output, options, engine=engine, served_as=name, replace=force)
    typer.echo(f"{output}: {len(names)} models: {', '.join(names)}")
    typer.echo("a call for one object, with a full memory bank, in MB sent and returned:")
    for one in stage_traffic(loaded.model):
        typer.echo(f"  {one.stage:<20} {one.sent / 1e6:8.3f} {one.returned / 1e6:8.3f}")
    typer.echo(f"tritonserver --model-repository {output.resolve()}")
