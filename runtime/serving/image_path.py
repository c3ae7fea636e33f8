"""The image path as one model of a server: an ensemble of the stages from an image and a prompt to masks."""

from collections.abc import Mapping

from masklet.runtime.bundle.pipelines import IMAGES
from masklet.runtime.bundle.served_model import ServedModel
from masklet.runtime.bundle.spec import ModelSpec, TensorSpec
from masklet.runtime.serving.model_config import VERSIONS, tensors

PART = "image"
VERSION = "1"  # the stages that it names have hashes; it has no graph itself
SAME = {"image_embed": "vision_feat"}  # without a memory the decoder takes the features as they are, for one object


def has_image_path(model: ModelSpec) -> bool:
    """Whether a model segments single images from prompts."""
    return not IMAGES.missing(model)


def image_config(name: str, model: ModelSpec, served: Mapping[str, ServedModel]) -> str:
    """The config.pbtxt of the image path, of one object a request. served: each stage as a model, by its name."""
    stages = [model.stage(stage) for stage in IMAGES.stages]
    made = {tensor.name for stage in stages for tensor in stage.outputs}
    given: dict[str, TensorSpec] = {}
    steps = []
    for stage in stages:
        names = {tensor.name: SAME.get(tensor.name, tensor.name) for tensor in stage.inputs}
        given |= {t.name: _of_one_object(t) for t in stage.inputs if names[t.name] not in made}
        steps.append(_step(served[stage.name], names, {tensor.name: tensor.name for tensor in stage.outputs}))
    results = [_of_one_object(tensor) for tensor in stages[-1].outputs]
    return "\n".join(
        [
            f'name: "{name}"',
            'platform: "ensemble"',
            "max_batch_size: 0",
            VERSIONS,
            *tensors("input", list(given.values())),
            *tensors("output", results),
            "ensemble_scheduling {",
            *steps,
            "}",
            "",
        ]
    )


def _of_one_object(tensor: TensorSpec) -> TensorSpec:
    shape = tuple(1 if size == "objects" else size for size in tensor.shape)
    return TensorSpec(tensor.name, shape, tensor.dtype)


def _step(model: ServedModel, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> str:
    maps = [f'input_map {{ key: "{name}" value: "{source}" }}' for name, source in inputs.items()]
    maps += [f'output_map {{ key: "{name}" value: "{target}" }}' for name, target in outputs.items()]
    return f'  step {{ model_name: "{model.name}" model_version: {model.version} {" ".join(maps)} }}'
