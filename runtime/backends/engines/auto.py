"""Each stage on the backend that is fastest for it, of those that are installed and proved."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from masklet.runtime.backends.kind import BackendKind, Settings
from masklet.runtime.option import Option

if TYPE_CHECKING:
    from masklet.runtime.backends.session import ChosenBackend

PLACE = Option(
    "place",
    "Backends of stages that are not to be chosen by timing, such as "
    "image_encoder=openvino:bf16,mask_decoder=onnxruntime, or image_encoder=kserve:HOST:PORT for a model server.",
    metavar="STAGE=BACKEND,...",
)


def create(threads: int | None, settings: Settings, kinds: Mapping[str, BackendKind]) -> "ChosenBackend":
    """A backend made of backends."""
    from masklet.runtime.backends.placement.backend import PlacedStages
    from masklet.runtime.backends.placement.candidates import Forms
    from masklet.runtime.backends.placement.pins import parse_pins

    forms = Forms(kinds, threads)
    return PlacedStages(forms, parse_pins(settings.get("place") or "", forms))


BACKEND = BackendKind(
    "auto",
    "Each stage on the backend that is fastest for it here, of those that are installed",
    create,
    options=(PLACE,),
    on_cpu=lambda settings: find_spec("tensorrt") is None and find_spec("tensorrt_rtx_bindings") is None,
    made_of_others=True,
)
