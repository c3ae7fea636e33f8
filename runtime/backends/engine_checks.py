"""Records in the user's cache which engines were compared with their graphs, per machine and bundle."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from masklet.runtime.backends.trt.fingerprint import Fingerprint, engines
from masklet.runtime.backends.user_cache import cache_folder
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact


def unchecked_artifacts(bundle: Bundle, backend: str, machine: str | None) -> list[Artifact]:
    """The artifacts that a backend runs and that have not been compared with the graphs on this machine.

    machine: names the device, its driver and the library; None for a backend that needs no such check, because it runs
             the graphs themselves.
    """
    if machine is None:
        return []
    stages = bundle.model.stages
    used = [a for stage in stages for a in engines(bundle, stage.name, backend)]
    if used and not any(Fingerprint.of(engine).not_run for engine in used):
        return []
    used = used or [bundle.artifact(stage.name, ("onnx",)) for stage in stages]
    return [] if _note(used, machine).is_file() else used


def engines_are_checked(bundle: Bundle, backend: str, machine: str | None) -> bool:
    """Whether all engines have been compared."""
    return not unchecked_artifacts(bundle, backend, machine)


def keep_check(used: Sequence[Artifact], machine: str, found: str) -> None:
    """Record that artifacts passed. If the cache cannot be written, the next run checks again."""
    note = _note(used, machine)
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{found}\n")


def _note(used: Sequence[Artifact], machine: str) -> Path:
    hashes = sorted(artifact.files[0].sha256 for artifact in used)
    return cache_folder("engine-checks") / hashlib.sha256("".join([machine, *hashes]).encode()).hexdigest()
