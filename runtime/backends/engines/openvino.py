"""OpenVINO: Intel's CPUs, integrated GPUs and NPUs."""

from typing import TYPE_CHECKING

from masklet.runtime.backends.kind import BackendKind, Settings
from masklet.runtime.option import Option

if TYPE_CHECKING:
    from masklet.runtime.backends.session import ChosenBackend

DEVICE = Option(
    "openvino_device",
    "Device of OpenVINO; AUTO lets it choose.",
    default="CPU",
    metavar="CPU|GPU|NPU|AUTO",
)
HINT = Option(
    "precision_hint",
    "What OpenVINO computes products in; bf16 and f16 are not exact: `masklet calibrate --precision bf16` proves it.",
    default="f32",
    choices=("f32", "bf16", "f16"),
)


def create(threads: int | None, settings: Settings) -> "ChosenBackend":
    """OpenVINO on a device."""
    from masklet.runtime.backends.ov.backend import OpenVino

    device = settings.get("openvino_device", "CPU").upper()
    return OpenVino(threads, device=device, hint=settings.get("precision_hint", "f32"))


BACKEND = BackendKind(
    "openvino",
    "OpenVINO on Intel's CPUs, integrated GPUs and NPUs, and on Arm CPUs",
    create,
    extra="openvino",
    options=(DEVICE, HINT),
    on_cpu=lambda settings: settings.get("openvino_device", "CPU").upper() == "CPU",
    forms={"f32": {}, "bf16": {"precision_hint": "bf16"}},
)
