"""Putting engines into a bundle that is there: the bundle with them takes its place whole, or not at all."""

import hashlib
import os
import shutil
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from masklet.runtime.bundle.bundle import Artifact, ArtifactFile, Bundle, Manifest, bundle_folder, write_manifest


class Amendment:
    """A bundle that is about to replace another, in `root`, a temporary folder whose files are links to the other's."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self._root = root
        self.manifest = manifest

    def put(self, artifact: Artifact, files: Mapping[str, bytes]) -> None:
        """Add an artifact in the place of one with the same main file. files: content by path, the main one first."""
        old = [a for a in self.manifest.artifacts if a.files[0].path == next(iter(files))]
        written = tuple(self._write(name, data) for name, data in files.items())
        kept = [a for a in self.manifest.artifacts if a not in old]
        self.manifest = msgspec.structs.replace(
            self.manifest, artifacts=(*kept, msgspec.structs.replace(artifact, files=written))
        )
        for path in {f.path for a in old for f in a.files} - {f.path for f in self.manifest.files()}:
            (self._root / path).unlink(missing_ok=True)

    def _write(self, name: str, data: bytes) -> ArtifactFile:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # it may be a link to the file of the bundle that is in use
        path.write_bytes(data)
        return ArtifactFile(name, hashlib.sha256(data).hexdigest(), len(data))

    def say(self, built_for: Mapping[str, str], artifacts: Container[str]) -> None:
        """Add to what the manifest says of artifacts, which are named by their main file."""
        told = {
            a.files[0].path: msgspec.structs.replace(a, built_for={**(a.built_for or {}), **built_for})
            for a in self.manifest.artifacts
            if a.files[0].path in artifacts
        }
        changed = tuple(told.get(a.files[0].path, a) for a in self.manifest.artifacts)
        self.manifest = msgspec.structs.replace(self.manifest, artifacts=changed)

    def preview(self) -> Bundle:
        """The bundle as it will be, where it lies now."""
        write_manifest(self._root, self.manifest)
        return Bundle.load(self._root, check_hashes=False)


@contextmanager
def amend_bundle(bundle: Bundle) -> Iterator[Amendment]:
    """Change the artifacts of a bundle. Whatever ends the block early leaves the bundle as it was.

    Raises BundleError where it cannot be written, or the disk is full.
    """
    target = bundle.root.resolve()
    with bundle_folder(target, "it is as it was") as root:
        shutil.copytree(target, root, copy_function=_link, dirs_exist_ok=True)
        amendment = Amendment(root, bundle.manifest)
        yield amendment
        write_manifest(root, amendment.manifest)


def _link(source: str, target: str) -> None:
    """A hard link, which costs neither time nor space; a copy on file systems without them."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
