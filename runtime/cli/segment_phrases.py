"""What `masklet segment` does with phrases and exemplars."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle, BundleChoice
from masklet.runtime.cli.segment_image import ImageOutputs, write_outputs
from masklet.runtime.concepts.concept import Concept
from masklet.runtime.concepts.detector import check_concepts
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.concepts.predictor import ConceptPredictor, Found, as_frame_result
from masklet.runtime.errors import PromptError
from masklet.runtime.results import FrameResult
from masklet.runtime.sinks.json_lines import object_records
from masklet.runtime.sources.image_files import read_image


def find_in_image(
    bundle: BundleChoice,
    image: Path,
    concepts: Sequence[Concept],
    options: ConceptOptions,
    outputs: ImageOutputs,
    *,
    open_sessions: Callable[[Bundle], Sessions],
) -> None:
    """Find every instance of concepts in one image and write the requested outputs."""
    if outputs.every:
        raise PromptError("--all is for points, boxes and masks; an instance of a phrase has one mask")
    model = bundle.load()
    check_concepts(model.model, model.asset, concepts)
    pixels = read_image(image)
    with open_sessions(model) as sessions:
        predictor = ConceptPredictor(sessions, options)
        predictor.set_image(pixels)
        instances = predictor.find(concepts)
    result = as_frame_result(instances, (pixels.shape[0], pixels.shape[1]))
    write_outputs(outputs, pixels, result)
    if outputs.json:
        typer.echo(json.dumps(_document(image, result, instances)))
    else:
        for one in instances:
            scores = ", ".join(f"{score:.2f}" for score in sorted(one.scores.tolist(), reverse=True))
            typer.echo(
                f"{one.concept.name}: {len(one)} found, presence {one.presence:.2f}" + (scores and f": {scores}")
            )


def _document(image: Path, result: FrameResult, instances: Sequence[Found]) -> dict[str, Any]:
    """The line that --json prints; it contains every concept, also those without an instance."""
    concepts = [
        {"phrase": one.concept.name, "presence": round(one.presence, 5), "found": len(one)} for one in instances
    ]
    height, width = result.masks.shape[1:]
    return {"image": image.name, "size": [height, width], "concepts": concepts, "objects": object_records(result)}
