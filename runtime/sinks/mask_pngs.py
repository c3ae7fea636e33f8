"""Masks as palette PNGs in the format of DAVIS, one per frame."""

from pathlib import Path

from masklet.runtime.closing import Closing
from masklet.runtime.errors import SinkError
from masklet.runtime.pixels.palette import palette_png
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sinks.output_file import OutputFile, check_parent


class MaskPngs(Closing):
    """One palette PNG per frame in the format of DAVIS: FOLDER/00042.png, pixel value = object id, 0 for background.

    Where masks overlap, the object with the higher score gets the pixel. Creates the folder; its parent must exist.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        check_parent(self._folder)
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise SinkError(f"{folder}: the folder cannot be created: {error.strerror}") from None

    def write(self, frame: Frame, result: FrameResult) -> None:
        encoded = palette_png(result, self._folder)
        self._store(self._folder / f"{result.frame_index:05d}.png", encoded)

    def _store(self, path: Path, data: bytes) -> None:
        file = OutputFile(path)
        try:
            file.write(data)
        except SinkError:
            path.unlink(missing_ok=True)
            raise
        finally:
            file.close()

    def close(self) -> None:
        """Does nothing: no file is open between frames."""
