"""The fingerprint of an engine: what it was built from, by and for. Stored in the manifest, checked before loading."""

import platform
from collections.abc import Iterable

import msgspec
from masklet.runtime.backends.gpu.cuda.protocol import DeviceFacts
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact
from masklet.runtime.str_enum import StrEnum
from typing_extensions import Self

ANY = "any"
_NOT_RUN = "built, not run"
# An engine is code for one GPU and one TensorRT. The driver is recorded, but engines outlive its updates.
COMPARED = {
    "graph": "the stage's graph",
    "tensorrt": "TensorRT",
    "gpu": "GPU",
    "compute_capability": "compute capability",
    "system": "system",
}


class BuildFlag(StrEnum):
    """Build options that decide what can load an engine."""

    HARDWARE_COMPATIBLE = "hardware compatible"
    VERSION_COMPATIBLE = "version compatible"
    STRIPPED = "weights stripped"


class Fingerprint(msgspec.Struct, frozen=True, omit_defaults=True):
    """The origin of an engine; an empty field is unknown and is not compared.

    tensorrt, gpu, compute_capability, driver, system: of the target machine; `ANY` if it is for several.
    device:   the device profile. graph: hash of the graph. profiles: its optimisation profiles.
    flags:    `BuildFlag`s and other options, joined by ", ".
    check:    the result of comparing it with its graph.
    """

    tensorrt: str = ""
    gpu: str = ""
    compute_capability: str = ""
    driver: str = ""
    system: str = ""
    device: str = ""
    graph: str = ""
    profiles: str = ""
    flags: str = ""
    check: str = ""

    @classmethod
    def of(cls, engine: Artifact) -> Self:
        """The fingerprint of an engine in the manifest."""
        return msgspec.convert(engine.built_for or {}, cls)

    def entries(self) -> dict[str, str]:
        """The fingerprint as stored in the manifest."""
        return dict(msgspec.to_builtins(self))

    def has(self, flag: BuildFlag) -> bool:
        """Whether the engine was built with this flag."""
        return flag in self.flags.split(", ")

    @property
    def not_run(self) -> bool:
        """Whether the engine was built on a machine that cannot run it, and was not compared with its graph."""
        return self.check == _NOT_RUN

    def before_its_check(self) -> Self:
        """The same fingerprint for an engine that has not been run yet."""
        return msgspec.structs.replace(self, check=_NOT_RUN)


def machine_fingerprint(tensorrt: str, device: DeviceFacts | None) -> Fingerprint:
    """The fingerprint of this machine. tensorrt: its version; device: its GPU; None to build for other machines."""
    return Fingerprint(
        tensorrt=tensorrt,
        gpu=ANY if device is None else device.name,
        compute_capability=ANY if device is None else device.compute_capability,
        driver="none" if device is None else device.driver,
        system=f"{platform.system()} {platform.machine()}",
    )


def difference(built: Fingerprint, here: Fingerprint) -> str | None:
    """Why an engine cannot be used here: "GPU: built for NVIDIA A100, here is NVIDIA L4"; None if it can."""
    for field, what in COMPARED.items():
        said, now = getattr(built, field), getattr(here, field)
        if said and now and not _suits(field, built, now):
            return f"{what}: built for {said[:40]}, here is {now[:40]}"
    return None


def engines(bundle: Bundle, stage: str, backend: str) -> list[Artifact]:
    """The engines of a stage in a bundle, the newest last."""
    return [a for a in bundle.manifest.artifacts if a.stage == stage and a.format == backend and a.built_for]


def graph_of(bundle: Bundle, engine: Artifact) -> Artifact | None:
    """The graph of the same stage and precision in the bundle, to compare an engine with."""
    same: Iterable[Artifact] = (
        a
        for a in bundle.manifest.artifacts
        if a.stage == engine.stage and a.format == "onnx" and a.precision == engine.precision
    )
    return next(iter(same), None)


def _suits(field: str, built: Fingerprint, here: str) -> bool:
    said: str = getattr(built, field)
    if field == "compute_capability" and said not in (ANY, here):
        return here in said.split(", ") or (said.endswith("+") and _version(here) >= _version(said[:-1]))
    if field == "gpu" and built.has(BuildFlag.HARDWARE_COMPATIBLE):
        return True
    if field == "tensorrt" and built.has(BuildFlag.VERSION_COMPATIBLE):
        return _version(said)[:1] == _version(here)[:1] and _version(said) <= _version(here)
    return said in (ANY, here)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())
