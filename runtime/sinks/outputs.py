"""The outputs of a run: which sinks are opened, and where they write."""

from dataclasses import dataclass
from pathlib import Path

from masklet.runtime.errors import SinkError
from masklet.runtime.sinks.json_lines import MasksJsonl
from masklet.runtime.sinks.mask_pngs import MaskPngs
from masklet.runtime.sinks.output_file import check_parent
from masklet.runtime.sinks.overlay_video import OverlayVideo
from masklet.runtime.sinks.sink import Sink, Sinks


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where results go; None leaves an output out. keep: bytes of `masks` to go on after, None to replace it."""

    overlay: Path | None = None
    masks: Path | None = None
    pngs: Path | None = None
    keep: int | None = None

    def open(self, fps: float) -> Sinks:
        """Open a sink for each output. Raises SinkError where one cannot be written."""
        sinks: list[Sink] = []
        if self.overlay is not None:
            sinks.append(OverlayVideo(self.overlay, fps))
        if self.masks is not None:
            sinks.append(MasksJsonl(self.masks, self.keep))
        if self.pngs is not None:
            sinks.append(MaskPngs(self.pngs))
        return Sinks(sinks)

    def check_folders(self) -> None:
        """Raise SinkError where the folder that is to hold an output is not there, before anything is replaced."""
        for path in (self.overlay, self.masks, self.pngs):
            if path is not None:
                check_parent(path)

    def spare(self, source: str) -> None:
        """Raise SinkError where an output is the source itself, which opening it would empty."""
        for path in (self.overlay, self.masks):
            if path is not None and path.exists() and Path(source).exists() and path.samefile(source):
                raise SinkError(f"{path}: is the source itself; write the output to another file")

    def __str__(self) -> str:
        return ", ".join(str(path) for path in (self.overlay, self.masks, self.pngs) if path is not None)
