"""What `masklet segment` and `masklet everything` do."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer
from masklet.runtime.bundle.bundle import BundleChoice
from masklet.runtime.errors import PromptError, SinkError
from masklet.runtime.pixels.geometry import U8, boxes_xyxy
from masklet.runtime.pixels.overlay import draw
from masklet.runtime.pixels.palette import palette_png
from masklet.runtime.pixels.png import png
from masklet.runtime.prompts.prompts import Prompt, Schedule
from masklet.runtime.results import FrameResult
from masklet.runtime.segmentation.everything import Everything, EverythingOptions
from masklet.runtime.segmentation.image_predictor import ImagePredictor, Prediction
from masklet.runtime.segmentation.segments import coco_dataset, picture
from masklet.runtime.sinks.json_lines import object_records
from masklet.runtime.sinks.output_file import OutputFile, check_parent
from masklet.runtime.sources.image_files import read_image
from masklet.runtime.startup.backend_choice import BackendChoice
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@dataclass(frozen=True, slots=True)
class ImageOutputs:
    """The outputs of an image; None for an output that is not written. every: all three masks of a prompt as JSON."""

    mask: Path | None = None
    overlay: Path | None = None
    json: bool = False
    every: bool = False

    def __post_init__(self) -> None:
        if self.every and not self.json:
            raise PromptError("--all is for --json: a picture shows one mask of each object")
        for path in (self.mask, self.overlay):
            check_output(path, ".png")


def check_output(path: Path | None, suffix: str) -> None:
    """Raise SinkError, before any work is done, if a file cannot be written or its suffix is of another format."""
    if path is None:
        return
    check_parent(path)
    if path.is_dir():
        raise SinkError(f"{path}: is a folder; give a file")
    if path.suffix.lower() != suffix:
        raise SinkError(f"{path}: is written as {suffix[1:].upper()}; give a name that ends in {suffix}")


def segment_image(
    bundle: BundleChoice, image: Path, schedule: Schedule, outputs: ImageOutputs, *, backend: BackendChoice
) -> None:
    """Segment prompted objects in one image and write the requested outputs."""
    prompts = _of_the_image(schedule)
    model = bundle.load()
    pixels = read_image(image)
    with backend.sessions(model, say_where) as sessions:
        predictor = ImagePredictor(sessions)
        predictor.set_image(pixels)
        found = predictor.predict(list(prompts.values()))
        several = predictor.predict(list(prompts.values()), choice="all") if outputs.every else None
    result = _result(list(prompts), found, 0)
    write_outputs(outputs, pixels, result)
    if outputs.json:
        typer.echo(json.dumps(_document(image, result, list(prompts), several)))
    else:
        _say(result, outputs)


def write_outputs(outputs: ImageOutputs, pixels: U8, result: FrameResult) -> None:
    """Write the requested files. pixels: the image, [H, W, 3] RGB."""
    if outputs.mask is not None:
        _write(outputs.mask, palette_png(result, outputs.mask))
    if outputs.overlay is not None:
        _write_picture(outputs.overlay, draw(pixels, result))


def _of_the_image(schedule: Schedule) -> dict[int, Prompt]:
    if not schedule:
        raise PromptError("nothing to segment: give at least one of --point, --box and --mask, or use everything")
    later = max(schedule)
    if later:
        raise PromptError(f"a prompt is for frame {later}, but an image has only frame 0; videos are for `masklet run`")
    return schedule[0]


def _result(object_ids: list[int], found: Prediction, candidate: int) -> FrameResult:
    masks = np.ascontiguousarray(found.masks[:, candidate])
    scores = np.clip(found.scores[:, candidate], 0, 1)
    return FrameResult(0, 0.0, np.array(object_ids, np.int64), masks, boxes_xyxy(masks), scores)


def _document(image: Path, result: FrameResult, ids: list[int], several: Prediction | None) -> dict[str, Any]:
    """The line that --json prints; with all candidates each object has a list of three, in the model's order."""
    height, width = result.masks.shape[1:]
    objects = object_records(result)
    if several is not None:
        candidates = [object_records(_result(ids, several, k)) for k in range(several.masks.shape[1])]
        for n, record in enumerate(objects):
            record["candidates"] = [{k: v for k, v in c[n].items() if k != "id"} for c in candidates]
    return {"image": image.name, "size": [height, width], "objects": objects}


def _say(result: FrameResult, outputs: ImageOutputs) -> None:
    for n, object_id in enumerate(result.object_ids.tolist()):
        x0, y0, x1, y1 = result.boxes_xyxy[n].astype(int).tolist()
        pixels = int(result.masks[n].sum())
        typer.echo(f"object {object_id}: {pixels} pixels in {x0},{y0},{x1},{y1}, score {result.scores[n]:.2f}")
    written = ", ".join(str(path) for path in (outputs.mask, outputs.overlay) if path is not None)
    if written:
        typer.echo(f"wrote {written}")


def everything_in_image(
    bundle: BundleChoice,
    image: Path,
    options: EverythingOptions,
    output: Path | None,
    overlay: Path | None,
    *,
    backend: BackendChoice,
) -> None:
    """Find every mask of an image, with a progress bar, and write a COCO dataset and a picture."""
    check_output(output, ".json")
    check_output(overlay, ".png")
    model = bundle.load()
    pixels = read_image(image)
    columns = (TextColumn("points"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with (
        backend.sessions(model, say_where) as sessions,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar,
    ):
        task = bar.add_task("points", total=None)
        found = Everything(sessions, options).segment(
            pixels, lambda done, total: bar.update(task, completed=done, total=total)
        )
    if output is not None:
        dataset = coco_dataset(found, image.name, (pixels.shape[0], pixels.shape[1]))
        _write(output, json.dumps(dataset).encode() + b"\n")
    if overlay is not None:
        _write_picture(overlay, picture(pixels, found))
    written = ", ".join(str(path) for path in (output, overlay) if path is not None)
    typer.echo(f"{len(found)} masks" + (f"; wrote {written}" if written else ""))
    if not found:
        typer.echo(
            f"none passed --min-predicted-iou {options.min_predicted_iou:g} and --min-stability "
            f"{options.min_stability:g}; lower them for a model that predicts lower scores",
            err=True,
        )


def say_where(placement: str) -> None:
    """Say on stderr which backend runs what."""
    typer.echo(f"backend: {placement}", err=True)


def _write_picture(path: Path, pixels: U8) -> None:
    _write(path, png(pixels))


def _write(path: Path, data: bytes) -> None:
    file = OutputFile(path)
    try:
        file.write(data)
    finally:
        file.close()
