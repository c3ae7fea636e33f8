"""Compiled models on disk: a folder for each graph, release of OpenVINO, device and hint; the oldest leave first."""

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

from masklet.runtime.backends.user_cache import cache_folder

MOST_BYTES = 4 << 30


def model_cache(graph_hash: str, version: str, device: str, hint: str, machine: str) -> Path | None:
    """The folder of a graph's compiled models, made and marked as used; None where nothing can be kept.

    machine: what the device calls itself, since several machines may share a home.
    """
    root, key = cache_folder("openvino"), hashlib.sha256(f"{graph_hash} {machine}".encode()).hexdigest()
    folder = root / f"{key[:16]}-{version}-{device.replace(':', '-').replace(',', '-')}-{hint}"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        _prune(root, folder)
        return folder
    return None


def _prune(root: Path, in_use: Path, most_bytes: int = MOST_BYTES) -> None:
    """Remove what was not used for longest until the rest fits."""
    folders = sorted((f for f in root.iterdir() if f.is_dir()), key=lambda f: f.stat().st_mtime, reverse=True)
    total = 0
    for folder in folders:
        total += sum(file.stat().st_size for file in folder.iterdir())
        if total > most_bytes and folder != in_use:
            shutil.rmtree(folder, ignore_errors=True)
