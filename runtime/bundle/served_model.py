"""What a model server calls the stages of a bundle: one model per stage, whose version is the hash of its graph."""

import re
from dataclasses import dataclass

from masklet.runtime.bundle.manifest import Artifact, graph_hash
from masklet.runtime.bundle.spec import ModelSpec
from masklet.runtime.errors import BundleError
from typing_extensions import Self

HASH_DIGITS = 15  # hexadecimal: 60 bits, as Triton and OpenVINO Model Server read versions as int64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.-]+")


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A stage as a model of a server: its name, and the version that tells graphs apart."""

    name: str
    version: str

    @classmethod
    def of(cls, model: ModelSpec, artifact: Artifact, served_as: str | None = None) -> Self:
        """The served form of an artifact. served_as: as `served_name` takes it."""
        version = int(graph_hash(artifact)[:HASH_DIGITS], 16)
        return cls(served_name(model, artifact.stage, served_as), str(version))


def served_name(model: ModelSpec, part: str, served_as: str | None = None) -> str:
    """The name of a stage or of the image path, such as `sam2-tiny-1024.image_encoder`.

    served_as: what stands before the dot; by default family, variant and form of the model.
    Raises BundleError for a name that no folder should have.
    """
    if served_as is not None and not _NAME.fullmatch(served_as):
        raise BundleError(f"{served_as!r}: wanted a name of letters, digits, dots, dashes and underscores")
    before = served_as or _NOT_IN_NAMES.sub("-", f"{model.family}-{model.variant}-{model.form}").strip("-.")
    return f"{before}.{part}"
