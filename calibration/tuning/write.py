"""The tuned bundle: the chosen variant of the chosen bundle, with the settings that `masklet run` takes from it."""

import shutil
from pathlib import Path

import msgspec
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import write_manifest
from masklet.runtime.bundle.tuning import Tuning
from masklet.runtime.bundle.writer import bundle_folder, check_destination


def write_tuned(bundle: Bundle, tuning: Tuning, output: Path, *, replace: bool) -> None:
    """Write a bundle that has the first variant of another alone, and what was tuned.

    Raises BundleError where it cannot be written, or the disk is full.
    """
    check_destination(output, replace)
    manifest = msgspec.structs.replace(bundle.manifest, variants=(), tuning=tuning)
    with bundle_folder(output, "no bundle was written") as root:
        for file in manifest.files():
            target = root / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.root / file.path, target)  # not linked: onnx refuses weights with several links
        write_manifest(root, manifest)
