"""Options that several commands share, each declared once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Points = Annotated[
    list[str], typer.Option("--point", metavar="[ID][@FRAME]:X,Y", help="A click on the object; repeats.")
]
Negatives = Annotated[
    list[str],
    typer.Option("--negative", metavar="[ID][@FRAME]:X,Y", help="A click beside the object; repeats."),
]
Boxes = Annotated[
    list[str],
    typer.Option("--box", metavar="[ID][@FRAME]:X0,Y0,X1,Y1", help="A box around the object; repeats."),
]
Masks = Annotated[
    list[str], typer.Option("--mask", metavar="[ID][@FRAME]:FILE.png", help="The object's mask; repeats.")
]
Texts = Annotated[
    list[str],
    typer.Option("--text", metavar="PHRASE", help="Find every instance of it, such as 'yellow bus' (SAM 3); repeats."),
]
Exemplars = Annotated[
    list[str],
    typer.Option(
        "--exemplar",
        metavar="[+|-]X0,Y0,X1,Y1",
        help="A box around an example of what to find, or of what not; on the first frame of a video; repeats.",
    ),
]
MinScore = Annotated[float, typer.Option(min=0.0, max=1.0, help="Of what --text and --exemplar find.")]
Hotstart = Annotated[
    int,
    typer.Option(
        min=0,
        help="With --text: hold results back for so many frames less one, to leave out what turns out to be nothing; 0 "
        "for results at once.",
    ),
]
MaxObjects = Annotated[
    int, typer.Option(min=1, help="With --text: follow so many instances of a phrase at most, the likeliest first.")
]
ForgetAfter = Annotated[
    int,
    typer.Option(
        min=0,
        help="With --text: let go of an instance that was not detected for so many frames running; streams without an "
        "end need it. 0 for never.",
    ),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="POLICY[:OPTION=VALUE,...]",
        help="What is remembered of each object: sam2, sam3, ...; the model's own rule by default.",
    ),
]
BundleFolder = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A folder that `masklet export` wrote.")]
BackendOption = Annotated[
    Literal["onnxruntime", "tensorrt", "tensorrt-rtx"],
    typer.Option("--backend", help="What runs the stages; TensorRT needs the engines that `masklet build` makes."),
]
ProviderOption = Annotated[
    Literal["cpu", "cuda", "tensorrt"], typer.Option("--provider", help="Of ONNX Runtime; what it uses is said.")
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Fail where a stage does not run on the provider that was asked for.")
]
GraphsOption = Annotated[bool, typer.Option("--cuda-graphs", help="TensorRT: replay each shape as a CUDA graph.")]
NoHashes = Annotated[
    bool,
    typer.Option("--no-hashes", help="Do not hash the bundle's files; its manifest is checked all the same."),
]
