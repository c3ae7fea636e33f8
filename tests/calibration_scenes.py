"""A scene on disk, as the calibration tests give it to the command line."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Scene:
    """A scene in a folder of its own."""

    frames: Path
    masks: Path
    points: tuple[str, ...]

    def words(self) -> list[str | Path]:
        """The command line's words for its prompts."""
        return [word for point in self.points for word in ("--point", point)]
