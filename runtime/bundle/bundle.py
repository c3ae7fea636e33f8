"""A bundle: a folder with manifest.json, the graphs and engines of each stage, and the hashes that verify them."""

import glob
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

import msgspec
from masklet.runtime.bundle.spec import ModelSpec
from masklet.runtime.errors import BundleError, SpecError

if sys.platform != "win32":
    import fcntl

SCHEMA = 1
MANIFEST = "manifest.json"
SEAL = "manifest.json.sha256"  # the hash of the manifest, which holds the hashes of everything else


class ArtifactFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of a bundle: its path below the root, with forward slashes, its SHA-256 and its size in bytes."""

    path: str
    sha256: str
    bytes: int


class Artifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One runnable form of one stage.

    format:    "onnx" (standard operators: runs anywhere, builds engines), "onnx-ort" (with ONNX Runtime's fused
               operators), or a kind of engine.
    precision: "fp32", "fp16", "int8", ...: of the matrix products and convolutions.
    files:     the graph or engine first, then the files it refers to (two graphs may share a weights file).
    built_for: for an engine, the machine and the TensorRT release it was built for; None for a graph.
    """

    stage: str
    format: str
    precision: str
    files: tuple[ArtifactFile, ...]
    built_for: dict[str, str] | None = None


class Parity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Difference between an output of a stage and the checkpoint's own, over the inputs that were tried.

    relative: ||got - want|| / ||want||, the worst of all inputs.
    max_abs:  largest absolute difference of a single value.
    For a stage at low precision: the difference from its FP32 graph, over recorded frames.
    """

    stage: str
    format: str
    output: str
    relative: float
    max_abs: float


class Checkpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Origin of the weights: the name as given to the exporter, and the SHA-256 of configuration and weights."""

    name: str
    sha256: str


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Accuracy lost by low precision, over the frames it was measured on; `masklet calibrate` writes it.

    method:       how INT8 ranges were determined.
    stages:       precision of each stage as text, with the parts that stayed higher.
    iou:          mean mask IoU with the FP32 pipeline.
    jf, jf_fp32:  J&F against true masks, in points of 100; None if no true masks were given.
    max_drop, min_iou: the limits that were given.
    within:       whether the bundle is within these limits.
    """

    precision: str
    method: str
    stages: dict[str, str]
    frames: int
    iou: float
    jf: float | None
    jf_fp32: float | None
    max_drop: float
    min_iou: float
    within: bool


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another form of a bundle's model, for frames of another size or with other memories; `ModelSpec.form` names it.

    Its graphs may refer to the weights files of the first variant and share whole artifacts with it.
    """

    model: ModelSpec
    artifacts: tuple[Artifact, ...]
    parity: tuple[Parity, ...] = ()


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of manifest.json.

    assets:   files that the runtime reads besides the graphs, such as a tokenizer.
    variants: the other variants of the model: `model`, `artifacts` and `parity` are those of the first one.
    """

    schema: int
    model: ModelSpec
    checkpoint: Checkpoint
    artifacts: tuple[Artifact, ...]
    parity: tuple[Parity, ...] = ()
    made_with: dict[str, str] = {}
    assets: tuple[ArtifactFile, ...] = ()
    calibration: Calibration | None = None
    variants: tuple[Variant, ...] = ()

    def files(self) -> tuple[ArtifactFile, ...]:
        """Every file that the manifest names, without duplicates."""
        artifacts = (*self.artifacts, *(a for variant in self.variants for a in variant.artifacts))
        return tuple(dict.fromkeys((*(f for a in artifacts for f in a.files), *self.assets)))

    def all_variants(self) -> tuple[Variant, ...]:
        """Every variant of the model, the first one included."""
        return Variant(self.model, self.artifacts, self.parity), *self.variants

    def with_variants(self, variants: Sequence[Variant]) -> Self:
        """The same manifest of other variants, the first of them in `model`, `artifacts` and `parity`."""
        first, *others = variants
        return msgspec.structs.replace(
            self, model=first.model, artifacts=first.artifacts, parity=first.parity, variants=tuple(others)
        )


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk. Its manifest and, by default, every file were checked when it was loaded."""

    root: Path
    manifest: Manifest

    @property
    def model(self) -> ModelSpec:
        """The model that the bundle holds."""
        return self.manifest.model

    @classmethod
    def load(cls, root: str | Path, *, variant: str | None = None, check_hashes: bool = True) -> Self:
        """Open a bundle and check it.

        root:         its folder.
        variant:      which variant of the model, by its form (`1024`, `1024x576`, `1024-foveated`); the first if None.
        check_hashes: hash every file. False saves reading large files; file sizes and the hash of the manifest are
                      checked in any case.
        Raises BundleError if the folder is not a bundle, has an unknown schema, is incomplete or was altered.
        """
        root = Path(root)
        bundle = cls(root, _read_manifest(root))
        for file in bundle.manifest.files():
            _check_file(root, file, check_hashes)
        for each in bundle.manifest.all_variants():
            for stage in each.model.stages:
                if not any(a.stage == stage.name for a in each.artifacts):
                    raise BundleError(f"{root}: stage {stage.name!r} has no artifact; export the model again")
        return bundle if variant is None else bundle.variant(variant)

    def variant(self, form: str) -> Self:
        """The bundle with this variant of the model as its first one. Raises BundleError if it has no such variant."""
        variants = self.manifest.all_variants()
        chosen = [v for v in variants if v.model.form == form]
        if not chosen:
            have = ", ".join(v.model.form for v in variants)
            raise BundleError(f"{self.root}: has no variant {form!r}, it has {have}; export it with --image-size")
        others = [v for v in variants if v.model.form != form]
        return type(self)(self.root, self.manifest.with_variants([*chosen, *others]))

    def artifact(self, stage: str, formats: Sequence[str]) -> Artifact:
        """The artifact of a stage in the first of `formats` that the bundle has."""
        have = {a.format: a for a in self.manifest.artifacts if a.stage == stage}
        for name in formats:
            if name in have:
                return have[name]
        raise BundleError(
            f"{self.root}: stage {stage!r} is there as {', '.join(have) or 'nothing'}, wanted {' or '.join(formats)}"
        )

    def path(self, artifact: Artifact) -> Path:
        """The graph or engine of an artifact."""
        return self.root / artifact.files[0].path

    def asset(self, name: str) -> Path:
        """A file that the runtime reads besides the graphs. Raises BundleError if there is no asset of that name."""
        if all(file.path != name for file in self.manifest.assets):
            have = ", ".join(file.path for file in self.manifest.assets) or "none"
            raise BundleError(f"{self.root}: has no asset {name!r}, it has {have}; export the model again")
        return self.root / name


def bank_bytes(model: ModelSpec) -> int:
    """Bytes of a full memory bank for one object: spatial memories and object pointers."""
    if model.memory is None:
        return 0
    attention = {t.name: t for t in model.stage("memory_attention").inputs}
    policy = model.memory
    sizes = {
        "objects": 1,
        "memories": policy.prompted_frames + policy.recent_frames,
        "pointers": policy.prompted_frames + policy.pointers - 1,
    }
    return attention["memory"].nbytes(sizes) + attention["pointers"].nbytes(sizes)


def _read_manifest(root: Path) -> Manifest:
    if not root.exists():
        raise BundleError(f"{root}: no such bundle; make one with `masklet export MODEL -o {root}`")
    if not root.is_dir() or not (root / MANIFEST).is_file():
        raise BundleError(f"{root}: not a bundle, it has no {MANIFEST}; wanted a folder that `masklet export` wrote")
    raw = (root / MANIFEST).read_bytes()
    seal = root / SEAL
    if not seal.is_file() or seal.read_text().strip() != hashlib.sha256(raw).hexdigest():
        raise BundleError(
            f"{root}: {MANIFEST} does not match {SEAL}: it was altered or cut off; export the model again"
        )
    try:
        schema = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).get("schema", msgspec.Raw(b"null"))
        version = msgspec.json.decode(schema)
        if version != SCHEMA:
            raise BundleError(f"{root}: schema version {version!r}; this masklet reads version {SCHEMA}")
        return msgspec.json.decode(raw, type=Manifest)
    except (msgspec.DecodeError, msgspec.ValidationError, SpecError) as error:
        raise BundleError(f"{root}: {MANIFEST} cannot be read: {error}") from None


def _check_file(root: Path, file: ArtifactFile, check_hash: bool) -> None:
    relative = PurePosixPath(file.path)
    if relative.is_absolute() or ".." in relative.parts or "\\" in file.path or not relative.parts:
        raise BundleError(f"{root}: {file.path!r} leaves the bundle; refused")
    path = root / relative
    if not path.resolve().is_relative_to(root.resolve()):
        raise BundleError(f"{root}: {file.path!r} is a link out of the bundle; refused")
    if not path.is_file():
        raise BundleError(f"{root}: {file.path} is missing; export the model again")
    if path.stat().st_size != file.bytes:
        raise BundleError(f"{root}: {file.path} has {path.stat().st_size} bytes, wanted {file.bytes}; it was cut off")
    if check_hash and sha256(path) != file.sha256:
        raise BundleError(f"{root}: {file.path} was altered: its SHA-256 is not the manifest's")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class BundleWriter:
    """Collects the files of a new bundle in `root`, a temporary folder; see `write_bundle`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._artifacts: list[Artifact] = []
        self._variants: list[Variant] = []
        self._assets: list[ArtifactFile] = []
        self._hashed: dict[str, ArtifactFile] = {}

    def add(self, stage: str, format: str, precision: str, files: Sequence[str]) -> None:
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


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Write the manifest and its hash into a folder."""
    raw = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    for name, data in ((MANIFEST, raw), (SEAL, hashlib.sha256(raw).hexdigest().encode() + b"\n")):
        (root / name).unlink(missing_ok=True)  # it may be a hard link to the file of a bundle in use
        (root / name).write_bytes(data)


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


def graph_hash(artifact: Artifact) -> str:
    """One hash over a graph and the weights it refers to."""
    return hashlib.sha256("".join(file.sha256 for file in artifact.files).encode()).hexdigest()
