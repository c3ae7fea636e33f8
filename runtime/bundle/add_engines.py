"""Adds engines to an existing bundle. The changed bundle replaces the old one as a whole, or not at all."""

import hashlib
import os
import shutil
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact, ArtifactFile, Manifest, Variant, write_manifest
from masklet.runtime.bundle.writer import bundle_folder


class Amendment:
    """A changed bundle that is about to replace the old one.

    root: a temporary folder; its files are hard links to those of the old bundle.
    """

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self._root = root
        self.manifest = manifest

    def put(self, artifact: Artifact, files: Mapping[str, bytes]) -> None:
        """Add an artifact, or replace the one with the same main file. files: content by path, main file first.

        Other variants of the model that have the old one, since they share its graph, get the new one as well.
        """
        main = next(iter(files))
        before = {file.path for file in self.manifest.files()}
        added = msgspec.structs.replace(artifact, files=tuple(self._write(name, data) for name, data in files.items()))
        first, *others = self.manifest.all_variants()
        changed = [_with(first, added, main)]
        changed += [_with(v, added, main) if any(a.files[0].path == main for a in v.artifacts) else v for v in others]
        self.manifest = self.manifest.with_variants(changed)
        for path in before - {file.path for file in self.manifest.files()}:
            (self._root / path).unlink(missing_ok=True)

    def _write(self, name: str, data: bytes) -> ArtifactFile:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # it may be a hard link to the file of the bundle in use
        path.write_bytes(data)
        return ArtifactFile(name, hashlib.sha256(data).hexdigest(), len(data))

    def say(self, built_for: Mapping[str, str], artifacts: Container[str]) -> None:
        """Add entries to `built_for` of artifacts. artifacts: paths of their main files."""

        def told(artifact: Artifact) -> Artifact:
            entries = {**(artifact.built_for or {}), **built_for}
            return msgspec.structs.replace(artifact, built_for=entries)

        self.manifest = self.manifest.with_variants(
            [
                msgspec.structs.replace(
                    v, artifacts=tuple(told(a) if a.files[0].path in artifacts else a for a in v.artifacts)
                )
                for v in self.manifest.all_variants()
            ]
        )

    def preview(self) -> Bundle:
        """The changed bundle, loaded from its temporary folder."""
        write_manifest(self._root, self.manifest)
        return Bundle.load(self._root, check_hashes=False)


def _with(variant: Variant, artifact: Artifact, main: str) -> Variant:
    """A variant with an artifact in the place of the one that has the same main file."""
    kept = (a for a in variant.artifacts if a.files[0].path != main)
    return msgspec.structs.replace(variant, artifacts=(*kept, artifact))


@contextmanager
def amend_bundle(bundle: Bundle) -> Iterator[Amendment]:
    """Change the artifacts of a bundle's first variant. If the block ends early, the bundle is unchanged.

    The order of variants on disk stays as it is (`Bundle.variant` puts another one first in memory).
    Raises BundleError if the bundle cannot be written or the disk is full.
    """
    target = bundle.root.resolve()
    with bundle_folder(target, "the bundle is unchanged") as root:
        shutil.copytree(target, root, copy_function=_link, dirs_exist_ok=True)
        amendment = Amendment(root, bundle.manifest)
        yield amendment
        forms = [v.model.form for v in Bundle.load(target, check_hashes=False).manifest.all_variants()]
        changed = sorted(amendment.manifest.all_variants(), key=lambda variant: forms.index(variant.model.form))
        write_manifest(root, amendment.manifest.with_variants(changed))


def _link(source: str, target: str) -> None:
    """Hard-link a file, which takes neither time nor space; copy it on file systems without hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
