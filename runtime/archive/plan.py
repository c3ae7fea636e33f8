"""What every worker of an archive is told once: the bundle, the backend, and what a result set holds."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from masklet.runtime.archive.video import ArchiveVideo
from masklet.runtime.bundle.bundle import BundleChoice
from masklet.runtime.bundle.manifest import SEAL
from masklet.runtime.startup.backend_choice import BackendChoice

Format = Literal["jsonl", "parquet"]


@dataclass(frozen=True, slots=True)
class ArchivePlan:
    """How videos are run.

    bundle:  read by every worker from the same path.
    seal:    hash of its manifest, which every worker compares.
    backend: what runs the stages.
    cut:     which frames, as `open_source` takes them.
    out:     folder of the result sets, which every worker sees.
    format:  of the masks. overlay: whether a result set has a video with the masks drawn.
    """

    bundle: BundleChoice
    seal: str
    backend: BackendChoice
    cut: Mapping[str, Any]
    out: Path
    format: Format = "jsonl"
    overlay: bool = False

    def digest(self, video: ArchiveVideo) -> str:
        """A hash of everything that decides what the results of a video are."""
        settings = (self.seal, self.bundle.variant, self.backend.name, sorted(self.backend.settings.items()))
        whole = repr((*settings, sorted(self.cut.items()), self.format, self.overlay, video.digest))
        return hashlib.sha256(whole.encode()).hexdigest()


def seal_of(root: Path) -> str:
    """The hash of a bundle's manifest, which holds the hashes of everything else."""
    return (root / SEAL).read_text().strip()
