"""Device profiles: memory, precision and sizes for an Orin Nano, an H100, ... One TOML file each, in devices/."""

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
    """A device, and how engines are built for it.

    name, tensorrt:     for the user: name of the device, and where its TensorRT comes from.
    gpus:               words in the GPU name that the driver reports.
    compute_capability: such as "8.7"; None builds for every architecture that the backend supports.
    memory_mb:          memory of the GPU, or of the whole board if it is shared; `reserved_mb` of it is for other use.
    workspace_mb:       scratch memory of an engine, for tactics while it is built and for attention when it runs.
    precision:          wanted precision per stage; "default" for stages not named.
    sizes:              for each symbol of stages: [minimum, usual, maximum]. `memories` and `pointers` follow from the
                        model's memory policy if they are not named.
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
                    f"device profile {self.name!r}: sizes of {symbol!r} are {fewest}, {usual}, {most}; expected "
                    "[minimum, usual, maximum] in ascending order"
                )

    def precision_of(self, stage: str) -> Precision:
        """The precision that a stage should have on this device."""
        return self.precision.get(stage, self.precision.get("default", Precision.FP16))


def device_names() -> list[str]:
    """The devices that have a profile."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def device_profile(name: str) -> DeviceProfile:
    """The profile of that name, or in that TOML file. Raises MaskletError listing the known profiles."""
    path = Path(name) if name.endswith(".toml") else _folder() / f"{name}.toml"
    if not path.is_file():
        raise MaskletError(f"no device profile {name!r}; known: {', '.join(device_names())}; or give a .toml file")
    try:
        return msgspec.toml.decode(path.read_bytes(), type=DeviceProfile)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise MaskletError(f"{path}: not a device profile: {error}") from None


def profile_for_gpu(gpu: str, memory_mb: int) -> tuple[str, DeviceProfile] | None:
    """The name and profile whose GPU matches and whose memory is nearest; None if there is none."""
    known = {name: device_profile(name) for name in device_names()}
    fitting = {name: p for name, p in known.items() if any(re.search(rf"\b{part}\b", gpu) for part in p.gpus)}
    name = min(fitting, key=lambda n: abs((fitting[n].memory_mb or 0) - memory_mb), default=None)
    return None if name is None else (name, fitting[name])


def _folder() -> Path:
    return Path(str(importlib.resources.files(__package__).joinpath(FOLDER)))
