"""manifest.json: what a bundle holds, where its files are, and the hashes that verify them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.bundle.spec import ModelSpec
from masklet.runtime.bundle.tuning import Tuning
from masklet.runtime.errors import BundleError, SpecError
from typing_extensions import Self

SCHEMA = 1
PIECE = 1 << 20  # bytes that are read at once to be hashed
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
    precision: of the matrix products and convolutions, and of the tensors between them.
    files:     the graph or engine first, then the files it refers to (two graphs may share a weights file).
    built_for: for an engine, the machine and the TensorRT release it was built for; None for a graph.
    """

    stage: str
    format: str
    precision: Precision
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


class Checkpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Origin of the weights: the name as given to the exporter, and the SHA-256 of configuration and weights.

    taken, file_sha256: of a file of weights, which of its tensors were used, in words, and the SHA-256 of the file.
    """

    name: str
    sha256: str
    taken: str | None = None
    file_sha256: str | None = None


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Accuracy lost by low precision, over the frames it was measured on; `masklet calibrate` writes it.

    method:       how INT8 ranges were determined.
    stages:       precision of each stage as text, first of all its name, then the parts that stayed higher.
    iou:          mean mask IoU with the FP32 pipeline.
    jf, jf_fp32:  J&F against true masks, in points of 100; None if no true masks were given.
    max_drop, min_iou: the limits that were given.
    within:       whether the bundle is within these limits.
    """

    precision: Precision
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

    Its graphs may refer to the weights files of the first variant, and it may share whole artifacts with others.
    """

    model: ModelSpec
    artifacts: tuple[Artifact, ...]
    parity: tuple[Parity, ...] = ()


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of manifest.json.

    assets:   files that the runtime reads besides the graphs, such as a tokenizer.
    variants: the other variants of the model: `model`, `artifacts` and `parity` are those of the first one.
    tuning:   how to run the first variant, if `masklet tune` wrote the bundle.
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
    tuning: Tuning | None = None

    def proves(self, stage: str, precision: Precision) -> bool:
        """Whether a stage may be computed at a precision: its graphs have it, or calibration kept it within limits."""
        if any(a.stage == stage and a.precision == precision for a in self.artifacts):
            return True
        proof = self.calibration
        return proof is not None and proof.within and proof.stages.get(stage, "").split(" ")[0] == precision

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


def read_manifest(root: Path) -> Manifest:
    """Read the manifest of a bundle. Raises BundleError if it is missing, altered, or of an unknown schema."""
    try:
        raw = _read_sealed(root)
    except OSError as error:
        raise BundleError(f"{root}: cannot be read: {error.strerror}") from None
    try:
        schema = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).get("schema", msgspec.Raw(b"null"))
        version = msgspec.json.decode(schema)
        if version != SCHEMA:
            raise BundleError(f"{root}: schema version {version!r}; this masklet reads version {SCHEMA}")
        return msgspec.json.decode(raw, type=Manifest)
    except (msgspec.DecodeError, msgspec.ValidationError, SpecError, RecursionError) as error:
        raise BundleError(f"{root}: {MANIFEST} cannot be read: {error}") from None


def _read_sealed(root: Path) -> bytes:
    """The manifest as it is on disk, whose hash was checked."""
    if not root.exists():
        raise BundleError(f"{root}: no such bundle; make one with `masklet export MODEL -o {root}`")
    if not root.is_dir() or not (root / MANIFEST).is_file():
        raise BundleError(f"{root}: not a bundle, it has no {MANIFEST}; wanted a folder that `masklet export` wrote")
    raw, seal = (root / MANIFEST).read_bytes(), root / SEAL
    if not seal.is_file() or seal.read_bytes().strip() != hashlib.sha256(raw).hexdigest().encode():
        raise BundleError(
            f"{root}: {MANIFEST} does not match {SEAL}: it was altered or cut off; export the model again"
        )
    return raw


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Write the manifest and its hash into a folder."""
    raw = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    for name, data in ((MANIFEST, raw), (SEAL, hashlib.sha256(raw).hexdigest().encode() + b"\n")):
        (root / name).unlink(missing_ok=True)  # it may be a hard link to the file of a bundle in use
        (root / name).write_bytes(data)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def graph_hash(artifact: Artifact) -> str:
    """One hash over a graph and the weights it refers to."""
    return hashlib.sha256("".join(file.sha256 for file in artifact.files).encode()).hexdigest()
