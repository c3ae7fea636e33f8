"""Adds engines to an existing bundle. The changed bundle replaces the old one as a whole, or not at all."""

import hashlib
import os
import shutil
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact, ArtifactFile, Manifest, write_manifest
from masklet.runtime.bundle.writer import bundle_folder


class Amendment:
    """A changed bundle that is about to replace the old one.

    root: a temporary folder; its files are hard links to those of the old bundle.
    """

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self._root = root
        self.manifest = manifest

    def put(self, artifact: Artifact, files: Mapping[str, bytes]) -> None:
        """Add an artifact, or replace the one with the same main file. files: content by path, main file first."""
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
        path.unlink(missing_ok=True)  # it may be a hard link to the file of the bundle in use
        path.write_bytes(data)
        return ArtifactFile(name, hashlib.sha256(data).hexdigest(), len(data))

    def say(self, built_for: Mapping[str, str], artifacts: Container[str]) -> None:
        """Add entries to `built_for` of artifacts. artifacts: paths of their main files."""
        told = {
            a.files[0].path: msgspec.structs.replace(a, built_for={**(a.built_for or {}), **built_for})
            for a in self.manifest.artifacts
            if a.files[0].path in artifacts
        }
        changed = tuple(told.get(a.files[0].path, a) for a in self.manifest.artifacts)
        self.manifest = msgspec.structs.replace(self.manifest, artifacts=changed)

    def preview(self) -> Bundle:
        """The changed bundle, loaded from its temporary folder."""
        write_manifest(self._root, self.manifest)
        return Bundle.load(self._root, check_hashes=False)


@contextmanager
def amend_bundle(bundle: Bundle) -> Iterator[Amendment]:
    """Change the artifacts of a bundle. If the block ends early, the bundle is unchanged.

    Raises BundleError if the bundle cannot be written or the disk is full.
    """
    target = bundle.root.resolve()
    with bundle_folder(target, "the bundle is unchanged") as root:
        shutil.copytree(target, root, copy_function=_link, dirs_exist_ok=True)
        amendment = Amendment(root, bundle.manifest)
        yield amendment
        write_manifest(root, amendment.manifest)


def _link(source: str, target: str) -> None:
    """Hard-link a file, which takes neither time nor space; copy it on file systems without hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
