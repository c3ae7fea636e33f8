"""A video of an archive: where it is, what to track in it, and what its results are called."""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from masklet.runtime.prompts.prompt_records import PromptRecord
from masklet.runtime.startup.tracking_request import TrackingRequest

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.+")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class ArchiveVideo:
    """One video.

    source:  a path, absolute, or a URL of fsspec.
    request: what to track.
    name:    of its result set.
    """

    source: str
    request: TrackingRequest
    name: str = field(default="")

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", name_of(self.source))

    @property
    def digest(self) -> str:
        """A hash of the source and of everything that is to be tracked in it."""
        prompts = [
            PromptRecord.of(frame, object_id, prompt)
            for frame, objects in sorted(self.request.schedule.items())
            for object_id, prompt in sorted(objects.items())
        ]
        concepts = [repr(concept) for concept in self.request.concepts]
        whole = msgspec.json.encode([self.source, prompts, concepts, repr(self.request.found_with)])
        return hashlib.sha256(whole).hexdigest()


def is_address(source: str) -> bool:
    """Whether a source is a URL of fsspec."""
    return _ADDRESS.fullmatch(source) is not None


def name_of(source: str) -> str:
    """A name that stays the same whatever else is in the archive: the file's, and a hash of where it is."""
    stem = _NOT_IN_NAMES.sub("-", Path(source.rstrip("/")).stem).strip("-.") or "video"
    return f"{stem[:80]}-{hashlib.sha256(source.encode()).hexdigest()[:8]}"
