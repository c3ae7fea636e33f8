"""Device profiles: what to build for an Orin Nano, an H100, ... One TOML file each, in devices/."""

import importlib.resources
import re
from pathlib import Path
from typing import Annotated

import msgspec
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.errors import MaskletError

FOLDER = "devices"
Positive = Annotated[int, msgspec.Meta(ge=1)]


class DeviceProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a device is, and what is built for it.

    name, tensorrt:     for people: the device, and where its TensorRT comes from.
    gpus:               words by which its driver calls it.
    compute_capability: "8.7"; None builds for every architecture that the backend supports.
    memory_mb:          of the GPU; of the whole board where they share it, less `reserved_mb` for everything else.
    workspace_mb:       scratch memory of an engine, a tactic's while it is built and attention's when it runs.
    precision:          wanted of each stage's artifact, "default" for stages not named.
    sizes:              of a symbol that stages declare: the fewest, the usual and the most. `memories` and `pointers`
                        follow from the model's memory policy where they are not named.
    """

    name: str = "any device"
    tensorrt: str = ""
    gpus: tuple[str, ...] = ()
    compute_capability: Annotated[str, msgspec.Meta(pattern=r"^\d+\.\d$")] | None = None
    memory_mb: Positive | None = None
    reserved_mb: int = 0
    workspace_mb: Positive | None = None
    precision: dict[str, Precision] = msgspec.field(default_factory=lambda: {"default": Precision.FP16})
    sizes: dict[str, tuple[Positive, Positive, Positive]] = msgspec.field(
        default_factory=lambda: {"objects": (1, 1, 8), "points": (1, 2, 16)}
    )

    def __post_init__(self) -> None:
        for symbol, (fewest, usual, most) in self.sizes.items():
            if not fewest <= usual <= most:
                raise MaskletError(
                    f"device profile {self.name!r}: sizes of {symbol!r} are {fewest}, {usual}, {most}; wanted the "
                    "fewest, the usual and the most, in this order"
                )

    def precision_of(self, stage: str) -> Precision:
        """The precision that a stage should have on this device."""
        return self.precision.get(stage, self.precision.get("default", Precision.FP16))


def device_names() -> list[str]:
    """The devices that have a profile."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def device_profile(name: str) -> DeviceProfile:
    """The profile of that name, or in that TOML file. Raises MaskletError naming what there is."""
    path = Path(name) if name.endswith(".toml") else _folder() / f"{name}.toml"
    if not path.is_file():
        raise MaskletError(f"no device profile {name!r}; there are {', '.join(device_names())}, or give a .toml file")
    try:
        return msgspec.toml.decode(path.read_bytes(), type=DeviceProfile)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise MaskletError(f"{path}: no device profile: {error}") from None


def profile_for_gpu(gpu: str, memory_mb: int) -> tuple[str, DeviceProfile] | None:
    """The profile whose GPU has this name and whose memory is nearest, with its own name; None where there is none."""
    known = {name: device_profile(name) for name in device_names()}
    fitting = {name: p for name, p in known.items() if any(re.search(rf"\b{part}\b", gpu) for part in p.gpus)}
    name = min(fitting, key=lambda n: abs((fitting[n].memory_mb or 0) - memory_mb), default=None)
    return None if name is None else (name, fitting[name])


def _folder() -> Path:
    return Path(str(importlib.resources.files(__package__).joinpath(FOLDER)))
