"""The masks of a clip that are known so far, frame by frame and object by object."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from masklet.runtime.errors import SinkError
from masklet.runtime.sinks.output_file import write_whole

Record = dict[str, Any]  # an object as `masks.jsonl` has it


class _Line(msgspec.Struct):
    frame: int
    objects: list[Record]


class ClipMasks:
    """Records as `masks.jsonl` has them. version: another number whenever they change."""

    def __init__(self) -> None:
        self._by_object: dict[int, dict[int, Record]] = {}
        self.version = 0

    def put(self, frame: int, record: Record) -> None:
        """Know an object's mask on a frame."""
        self._by_object.setdefault(record["id"], {})[frame] = record
        self.version += 1

    def of(self, frame: int) -> list[Record]:
        """What is known of a frame, by id."""
        return [known[frame] for _, known in sorted(self._by_object.items()) if frame in known]

    def frames(self, object_id: int) -> Mapping[int, Record]:
        """The frames on which an object is known."""
        return self._by_object.get(object_id, {})

    def forget(self, object_id: int, frames: Iterable[int]) -> None:
        """Know nothing of an object on these frames any more."""
        known = self._by_object.get(object_id, {})
        for frame in [frame for frame in frames if frame in known]:
            del known[frame]
        self.version += 1

    def forget_object(self, object_id: int) -> None:
        """Know nothing of an object any more."""
        self._by_object.pop(object_id, None)
        self.version += 1

    def save(self, path: Path, indices: Iterable[int], fps: float) -> None:
        """Write every frame of which anything is known, as `masklet run --masks` does. Raises SinkError."""
        known = {frame for frames in self._by_object.values() for frame in frames}
        lines = [
            msgspec.json.encode({"frame": frame, "time_s": round(frame / fps, 6), "objects": self.of(frame)})
            for frame in indices
            if frame in known
        ]
        write_whole(path, b"".join(line + b"\n" for line in lines))

    def load(self, path: Path) -> None:
        """Take up what was saved. Raises SinkError for a file that holds something else."""
        try:
            with path.open("rb") as file:
                for raw in file:
                    line = msgspec.json.decode(raw, type=_Line)
                    for record in line.objects:
                        self.put(line.frame, record)
        except OSError as error:
            raise SinkError(f"{path}: cannot be read: {error.strerror}") from None
        except (msgspec.DecodeError, KeyError):
            raise SinkError(f"{path}: not the masks that `masklet annotate` saves; move the file away") from None
