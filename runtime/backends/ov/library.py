"""OpenVINO itself: imported when used, its devices, and what it says when something fails, in one line."""

from pathlib import Path
from typing import Any

from masklet.runtime.errors import SessionError

BASE_DEVICES = ("CPU", "GPU", "NPU", "AUTO")
NOT_ENOUGH_MEMORY = ("bad_alloc", "cannot allocate memory", "out of memory", "out_of_resources", "out_of_host_memory")
# Lines of an OpenVINO message that say where in its source it was raised, not what happened.
NOISE = ("Exception from ", "Check '", "FrontEnd API failed", "Model wasn't fully converted", "Summary:", "While ")


def load_openvino() -> Any:
    """The module. Raises SessionError where it is not installed or cannot be loaded."""
    try:
        import openvino
    except ModuleNotFoundError:
        raise SessionError("OpenVINO is not installed; pip install 'masklet[openvino]'") from None
    except (ImportError, OSError) as error:  # a library that it links to is missing
        raise SessionError(f"OpenVINO is installed but cannot be loaded: {_lines(error)[0]}") from None
    return openvino


def openvino_version() -> str:
    """The release, such as 2026.4.1."""
    return str(load_openvino().__version__).split("-")[0]


def check_device(core: Any, device: str) -> None:
    """Raise SessionError where OpenVINO has no such device here. device: CPU, GPU, GPU.1, NPU, AUTO, AUTO:GPU,CPU."""
    base = device.split(":")[0]
    if base.split(".")[0] not in BASE_DEVICES:
        raise SessionError(f"--openvino-device {device}: wanted one of {', '.join(BASE_DEVICES)}, or one of several")
    there = list(core.available_devices)
    numbered = {name.split(".")[0] for name in there}
    if base != "AUTO" and base not in there and base not in numbered:
        raise SessionError(
            f"--openvino-device {device}: OpenVINO finds no such device here, only {', '.join(there) or 'none'}; "
            "its driver may be missing"
        )


def computes_in(core: Any, device: str) -> tuple[str, ...]:
    """The hints that a device computes in by its own instructions; AUTO may take any."""
    if device.startswith("AUTO"):
        return ("f32", "bf16", "f16")
    said = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
    known = {"FP32": "f32", "BF16": "bf16", "FP16": "f16"}
    return tuple(hint for name, hint in known.items() if name in said)


def device_name(core: Any, device: str) -> str:
    """What a device calls itself."""
    return device if device.startswith("AUTO") else str(core.get_property(device, "FULL_DEVICE_NAME"))


def reason(error: BaseException) -> str:
    """What an exception of OpenVINO says, in one line."""
    if any(words in str(error).lower() for words in NOT_ENOUGH_MEMORY):
        return "out of memory"
    return _lines(error)[-1].removeprefix("-- ")


def unsupported_node(graph: Path) -> str | None:
    """The first node of a graph that OpenVINO cannot convert, by the tensor that it makes; None where there is none."""
    from openvino.frontend import FrontEndManager

    frontend = FrontEndManager().load_by_framework("onnx")
    operations = frontend.convert_partially(frontend.load(str(graph))).get_ordered_ops()
    return next((o.get_friendly_name() for o in operations if "ONNX" in o.get_type_name()), None)


def _lines(error: BaseException) -> list[str]:
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    return [line for line in said if not line.startswith(NOISE)] or said or [type(error).__name__]
