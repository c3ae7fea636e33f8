"""A bundle: a folder with manifest.json, the graphs and engines of each stage, and the hashes that verify them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from masklet.runtime.bundle.limits import check_limits
from masklet.runtime.bundle.manifest import Artifact, ArtifactFile, Manifest, Variant, read_manifest, sha256
from masklet.runtime.bundle.pipelines import check_pipelines
from masklet.runtime.bundle.spec import ModelSpec
from masklet.runtime.errors import BundleError, SpecError
from typing_extensions import Self


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
        Raises BundleError if the folder is not a bundle, has an unknown schema, is incomplete or was altered, or if
        its model lacks what its pipelines need.
        """
        root = Path(root)
        bundle = cls(root, read_manifest(root))
        try:
            for each in bundle.manifest.all_variants():
                check_pipelines(each.model)
                check_limits(each.model)
        except SpecError as error:
            raise BundleError(f"{root}: {error}; export the model again") from None
        for file in bundle.manifest.files():
            _check_file(root, file, check_hashes)
        for each in bundle.manifest.all_variants():
            _check_artifacts(root, each)
        if bundle.model.concepts is not None:
            bundle.asset(bundle.model.concepts.tokenizer)
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


@dataclass(frozen=True)
class BundleChoice:
    """A bundle to be loaded. root, variant, check_hashes: as `Bundle.load` takes them."""

    root: Path
    variant: str | None = None
    check_hashes: bool = True

    def load(self) -> Bundle:
        """Open the bundle and check it. Raises BundleError."""
        return Bundle.load(self.root, variant=self.variant, check_hashes=self.check_hashes)


def _check_artifacts(root: Path, variant: Variant) -> None:
    """Raise BundleError for a stage without artifact, or an artifact without stage or file."""
    stages = [stage.name for stage in variant.model.stages]
    for artifact in variant.artifacts:
        if artifact.stage not in stages:
            raise BundleError(f"{root}: has an artifact of {artifact.stage!r}, which is no stage of its model")
        if not artifact.files:
            raise BundleError(f"{root}: an artifact of stage {artifact.stage!r} has no file; export the model again")
    for name in stages:
        if not any(artifact.stage == name for artifact in variant.artifacts):
            raise BundleError(f"{root}: stage {name!r} has no artifact; export the model again")


def _check_file(root: Path, file: ArtifactFile, check_hash: bool) -> None:
    """Raise BundleError if a file is missing, altered, or lies outside the bundle."""
    relative = PurePosixPath(file.path)
    outside = relative.is_absolute() or ".." in relative.parts or "\\" in file.path or not relative.parts
    if outside or not file.path.isprintable():
        raise BundleError(f"{root}: {file.path!r} leaves the bundle; refused")
    path = root / relative
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            raise BundleError(f"{root}: {file.path!r} is a link out of the bundle; refused")
        if not path.is_file():
            raise BundleError(f"{root}: {file.path} is missing; export the model again")
        size = path.stat().st_size
        if size != file.bytes:
            raise BundleError(f"{root}: {file.path} has {size} bytes, wanted {file.bytes}; it was cut off")
        if check_hash and sha256(path) != file.sha256:
            raise BundleError(f"{root}: {file.path} was altered: its SHA-256 is not the manifest's")
    except OSError as error:
        raise BundleError(f"{root}: {file.path[:80]!r} cannot be read: {error.strerror}") from None
