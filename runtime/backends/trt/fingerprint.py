"""What an engine was built from, by and for: kept in the manifest, compared before the engine is loaded."""

import platform
from collections.abc import Iterable, Mapping

from masklet.runtime.backends.gpu.cuda.protocol import DeviceFacts
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact

Fingerprint = dict[str, str]
NOT_RUN = "built, not run"
ANY = "any"
HARDWARE_COMPATIBLE, VERSION_COMPATIBLE, STRIPPED = "hardware compatible", "version compatible", "weights stripped"
# An engine is code for one GPU and one TensorRT. The driver is recorded, but engines outlive its updates.
COMPARED = {
    "graph": "the stage's graph",
    "tensorrt": "TensorRT",
    "gpu": "GPU",
    "compute_capability": "compute capability",
    "system": "system",
}


def machine_fingerprint(tensorrt: str, device: DeviceFacts | None) -> Fingerprint:
    """This machine. tensorrt: its version; device: its GPU, None where an engine is built for others."""
    return {
        "tensorrt": tensorrt,
        "gpu": ANY if device is None else device.name,
        "compute_capability": ANY if device is None else device.compute_capability,
        "driver": "none" if device is None else device.driver,
        "system": f"{platform.system()} {platform.machine()}",
    }


def difference(built: Mapping[str, str], here: Mapping[str, str]) -> str | None:
    """What keeps an engine from being used here: "GPU: built for NVIDIA A100, here is NVIDIA L4"; None for nothing."""
    for key, what in COMPARED.items():
        if key in built and key in here and not _suits(key, built, here[key]):
            return f"{what}: built for {built[key][:40]}, here is {here[key][:40]}"
    return None


def engines(bundle: Bundle, stage: str, backend: str) -> list[Artifact]:
    """The engines of a stage that a bundle has, the newest last."""
    return [a for a in bundle.manifest.artifacts if a.stage == stage and a.format == backend and a.built_for]


def graph_of(bundle: Bundle, engine: Artifact) -> Artifact | None:
    """The graph of the same stage and precision that a bundle has, for engines to be compared with."""
    same: Iterable[Artifact] = (
        a
        for a in bundle.manifest.artifacts
        if a.stage == engine.stage and a.format == "onnx" and a.precision == engine.precision
    )
    return next(iter(same), None)


def _suits(key: str, built: Mapping[str, str], here: str) -> bool:
    said = built[key]
    if key == "compute_capability" and said not in (ANY, here):
        return here in said.split(", ") or (said.endswith("+") and _version(here) >= _version(said[:-1]))
    if key == "gpu" and HARDWARE_COMPATIBLE in built.get("flags", ""):
        return True
    if key == "tensorrt" and VERSION_COMPATIBLE in built.get("flags", ""):
        return _version(said)[:1] == _version(here)[:1] and _version(said) <= _version(here)
    return said in (ANY, here)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
