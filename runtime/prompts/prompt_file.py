"""A prompts file: every prompt of a clip as JSON, as `masklet annotate` writes it and `--prompts` reads it.

{"format": "masklet prompts 1", "source": "clip.mp4", "size": [640, 480], "names": {"1": "left cup"},
 "prompts": [{"frame": 0, "object": 1, "points": [[320, 200]], "labels": [1]},
             {"frame": 30, "object": 1, "points": [[340, 260]], "labels": [0], "corrects": true}]}
"""

from pathlib import Path

import msgspec
from masklet.runtime.errors import PromptError
from masklet.runtime.prompts.prompt_records import PromptRecord
from masklet.runtime.prompts.prompts import Schedule, schedule

FORMAT = "masklet prompts 1"


class PromptFile(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """The prompts of a clip.

    source: what they were given on, for readers of the file; nothing checks it.
    size:   width and height of its frames in pixels, in which they count; None where nobody noted them.
    names:  what a user calls objects, by id.
    """

    format: str = ""
    source: str = ""
    size: tuple[int, int] | None = None
    names: dict[int, str] = {}
    prompts: list[PromptRecord] = []

    def schedule(self) -> Schedule:
        """The prompts by frame and object. Raises PromptError naming object and frame where they do not combine."""
        return schedule(record.scheduled() for record in self.prompts)

    def encode(self) -> bytes:
        """The file's bytes."""
        whole = msgspec.structs.replace(self, format=FORMAT)
        return msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n"


def read_prompt_file(path: Path) -> PromptFile:
    """Read a prompts file. Raises PromptError naming the file, and in it the place that is wrong."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=PromptFile)
    except OSError as error:
        raise PromptError(f"{path}: cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise PromptError(f"{path}: no prompts file: {error}; `masklet annotate` writes one") from None
    if found.format != FORMAT:
        raise PromptError(f"{path}: its format is {found.format!r}; wanted {FORMAT!r}, as `masklet annotate` writes it")
    return found
