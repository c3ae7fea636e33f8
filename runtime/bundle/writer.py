"""Writes a bundle, complete and sealed or not at all, whatever ends the process."""

import glob
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import (
    MANIFEST,
    SCHEMA,
    Artifact,
    ArtifactFile,
    Calibration,
    Checkpoint,
    Manifest,
    Parity,
    Variant,
    sha256,
    write_manifest,
)
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.bundle.spec import ModelSpec
from masklet.runtime.errors import BundleError

if sys.platform != "win32":
    import fcntl


class BundleWriter:
    """Collects the files of a new bundle in `root`, a temporary folder; see `write_bundle`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._artifacts: list[Artifact] = []
        self._variants: list[Variant] = []
        self._assets: list[ArtifactFile] = []
        self._hashed: dict[str, ArtifactFile] = {}

    def add(self, stage: str, format: str, precision: Precision, files: Sequence[str]) -> None:
        """Add an artifact whose files were written below `root`; the path of the graph comes first."""
        self._artifacts.append(Artifact(stage, format, precision, tuple(self._file(f) for f in files)))

    def add_shared(self, artifacts: Iterable[Artifact]) -> None:
        """Add artifacts of an earlier variant."""
        self._artifacts.extend(artifacts)

    def end_variant(self, model: ModelSpec, parity: Sequence[Parity]) -> Variant:
        """Make what was added a variant of the model by itself; what is added from now on is of another one."""
        self._variants.append(Variant(model, tuple(self._artifacts), tuple(parity)))
        self._artifacts.clear()
        return self._variants[-1]

    def add_asset(self, name: str) -> None:
        """Add a file written below `root` that the runtime reads besides the graphs."""
        self._assets.append(self._file(name))

    def seal(
        self,
        model: ModelSpec,
        checkpoint: Checkpoint,
        parity: Sequence[Parity] = (),
        made_with: dict[str, str] | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        """Write the manifest of a bundle of one variant, and its hash. A bundle that is not sealed is deleted."""
        self.end_variant(model, parity)
        self.seal_variants(checkpoint, made_with, calibration)

    def seal_variants(
        self,
        checkpoint: Checkpoint,
        made_with: dict[str, str] | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        """Write the manifest of all variants that were ended, in their order, and its hash."""
        first, *others = self._variants
        manifest = Manifest(
            SCHEMA,
            first.model,
            checkpoint,
            first.artifacts,
            first.parity,
            made_with or {},
            tuple(self._assets),
            calibration,
            tuple(others),
        )
        write_manifest(self.root, manifest)

    def _file(self, name: str) -> ArtifactFile:
        if name not in self._hashed:
            path = self.root / name
            self._hashed[name] = ArtifactFile(name, sha256(path), path.stat().st_size)
        return self._hashed[name]


@contextmanager
def write_bundle(destination: str | Path, *, replace: bool = False) -> Iterator[BundleWriter]:
    """Write a bundle into a temporary folder beside `destination`, and rename it once it is complete and sealed.

    replace: replace an existing bundle; anything else at that path is never touched.
    Raises BundleError if the destination exists, cannot be written, or the disk is full. If the block ends early (an
    error, Ctrl-C), neither the destination nor the temporary folder remains. A temporary folder left by a killed
    process is removed by the next write to the same destination.
    """
    target = Path(destination)
    check_destination(target, replace)
    with bundle_folder(target, "no bundle was written") as root:
        yield BundleWriter(root)


@contextmanager
def bundle_folder(target: Path, otherwise: str) -> Iterator[Path]:
    """A temporary folder beside `target` that replaces it at the end of the block, if it then is a complete bundle.

    otherwise: end of the error message: what the state is if writing fails.
    Raises BundleError if the folder cannot be written or the disk is full.
    """
    _sweep(target)
    try:
        root = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    except OSError as error:
        raise BundleError(f"{target}: cannot be written: {error.strerror}") from None
    try:
        with _claimed(root):
            yield root
            Bundle.load(root, check_hashes=False)
            root.chmod(0o755)
            _move_into_place(root, target)
    except OSError as error:
        raise BundleError(f"{target}: cannot be written: {error.strerror or error}; {otherwise}") from error
    finally:
        shutil.rmtree(root, ignore_errors=True)


def check_destination(target: Path, replace: bool) -> None:
    """Raise BundleError if no bundle can be written there, or one exists that must not be replaced."""
    if not target.parent.is_dir():
        raise BundleError(f"{target}: the folder {target.parent} does not exist")
    if not target.exists():
        return
    if not (target / MANIFEST).is_file():
        raise BundleError(f"{target}: exists and is not a bundle; choose another name")
    if not replace:
        raise BundleError(f"{target}: exists; choose another name, or --force to replace it")


@contextmanager
def _claimed(folder: Path) -> Iterator[bool]:
    """Lock a folder while the block runs; yields False if another process holds the lock.

    The operating system releases the lock of a process that dies. Windows cannot lock folders: always False there.
    """
    if sys.platform == "win32":
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _sweep(target: Path) -> None:
    """Remove temporary folders for a destination that no running process uses, and replaced bundles."""
    for kind in ("tmp", "old") if target.exists() else ("tmp",):
        for left in target.parent.glob(f".{glob.escape(target.name)}.*.{kind}"):
            with suppress(OSError), _claimed(left) as nobodys:
                if nobodys:
                    shutil.rmtree(left)


def _move_into_place(root: Path, target: Path) -> None:
    if not target.exists():
        os.rename(root, target)
        return
    old = root.with_suffix(".old")
    os.rename(target, old)
    try:
        os.rename(root, target)
    except BaseException:
        os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)
