"""What every worker of an archive is told once: the bundle, the backend, and what a result set holds."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from masklet.runtime.archive.result_set import ResultStore, VideoResult
from masklet.runtime.archive.segments import Splitting
from masklet.runtime.archive.video import ArchiveVideo
from masklet.runtime.bundle.bundle import BundleChoice
from masklet.runtime.bundle.manifest import SEAL
from masklet.runtime.startup.backend_choice import BackendChoice
from masklet.runtime.tracking.video_tracker import TrackerOptions

Format = Literal["jsonl", "parquet"]


@dataclass(frozen=True, slots=True)
class ArchivePlan:
    """How videos are run.

    bundle:  read by every worker from the same path.
    seal:    hash of its manifest, which every worker compares.
    backend: what runs the stages.
    cut:     which frames, as `open_source` takes them.
    out:     where the result sets are kept, which every worker sees.
    format:  of the masks. overlay: whether a result set has a video with the masks drawn.
    memory:  the memory policy; None for the model's own.
    tracking: options of trackers; those of phrases are with what is tracked.
    split:   how long videos are split into segments; None for not at all.
    """

    bundle: BundleChoice
    seal: str
    backend: BackendChoice
    cut: Mapping[str, Any]
    out: ResultStore
    format: Format = "jsonl"
    overlay: bool = False
    memory: str | None = None
    tracking: TrackerOptions = field(default_factory=TrackerOptions)
    split: Splitting | None = None

    def digest(self, video: ArchiveVideo) -> str:
        """A hash of everything that decides what the results of a video are."""
        settings = (self.seal, self.bundle.variant, self.backend.name, sorted(self.backend.settings.items()))
        written = (sorted(self.cut.items()), self.format, self.overlay, self.split)
        whole = repr((*settings, *written, self.memory, self.tracking, video.digest))
        return hashlib.sha256(whole.encode()).hexdigest()

    def finished(self, video: ArchiveVideo) -> VideoResult | None:
        """The result of a video that was run with this plan; None if it was not, or with another one."""
        return self.all_finished([video]).get(video.name)

    def all_finished(self, videos: Sequence[ArchiveVideo]) -> dict[str, VideoResult]:
        """The results, by name, of videos that were run with this plan."""
        results = self.out.results(video.name for video in videos)
        return {
            video.name: results[video.name]
            for video in videos
            if video.name in results and results[video.name].digest == self.digest(video)
        }


def seal_of(root: Path) -> str:
    """The hash of a bundle's manifest, which holds the hashes of everything else."""
    return (root / SEAL).read_text().strip()
