"""What a format declares of itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from masklet.runtime.convert.clip_results import ClipResults
    from masklet.runtime.convert.labelled_frame import LabelledFrames


@dataclass(frozen=True, slots=True)
class Format:
    """A format that masks are converted to, and perhaps from.

    what:   one line for `--help`.
    target: the name of what is written, put behind that of the masks file: a file, or a folder where it ends in /.
    write:  writes it; the target does not exist yet. Raises MaskletError, one line.
    read:   reads it, in the order of frames; None where it does not say which masks are of one object. Raises
            MasksError, or what its parser raises.
    """

    name: str
    what: str
    target: str
    write: "Callable[[ClipResults, Path], None]"
    read: "Callable[[Path], LabelledFrames] | None" = None

    @property
    def is_folder(self) -> bool:
        return self.target.endswith("/")

    def default_target(self, masks: Path) -> Path:
        """Where it goes if nobody says: beside the masks file."""
        return masks.with_name(masks.stem + self.target.rstrip("/"))
