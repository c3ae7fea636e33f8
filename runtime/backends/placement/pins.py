"""Stages that are not to be chosen for, as `--place` names them."""

from collections.abc import Mapping

from masklet.runtime.backends.placement.candidates import Form, Forms
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import SessionError


def parse_pins(text: str, forms: Forms) -> dict[str, Form]:
    """Read `image_encoder=openvino:bf16,mask_decoder=onnxruntime`.

    Raises SessionError where it is written otherwise, or names a backend that does not exist.
    """
    pins: dict[str, Form] = {}
    for word in filter(None, (word.strip() for word in text.split(","))):
        stage, equals, name = word.partition("=")
        if not (stage and equals and name):
            raise SessionError(f"--place {word}: wanted STAGE=BACKEND, such as image_encoder=openvino:bf16")
        if stage in pins:
            raise SessionError(f"--place {word}: {stage} was given already")
        pins[stage] = forms.named(name)
    return pins


def check_pins(pins: Mapping[str, Form], bundle: Bundle) -> None:
    """Raise SessionError for a stage that the model does not have."""
    stages = [stage.name for stage in bundle.model.stages]
    for stage in pins:
        if stage not in stages:
            raise SessionError(f"--place {stage}={pins[stage].name}: the model has no such stage; it has {stages}")
