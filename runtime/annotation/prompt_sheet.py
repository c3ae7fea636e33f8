"""The prompts of an annotation on disk, with what came before them, to undo."""

from pathlib import Path

from masklet.runtime.annotation.given_prompts import GivenPrompts, Key
from masklet.runtime.errors import PromptError
from masklet.runtime.prompts.prompt_file import PromptFile, read_prompt_file
from masklet.runtime.sinks.output_file import write_whole

UNDOABLE = 200


class PromptSheet:
    """Saved whenever it changes. Changes raise SinkError where they cannot be saved, and are none then.

    given: the prompts as they are now.
    """

    def __init__(self, path: Path, source: str, size: tuple[int, int]) -> None:
        """path: of the prompts file, read where it is there. source, size: of the clip, width and height in pixels."""
        self._path, self._source, self._size = path, source, size
        self._earlier: list[GivenPrompts] = []
        self.given = self._read() if path.exists() else GivenPrompts()

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to undo."""
        return bool(self._earlier)

    def file(self) -> PromptFile:
        """The prompts as a file."""
        return self.given.file(self._source, self._size)

    def new_id(self) -> int:
        """An object id that was never used."""
        return max([i for one in (*self._earlier, self.given) for i in (*one.object_ids, *one.names)], default=0) + 1

    def become(self, given: GivenPrompts) -> set[Key]:
        """Change. Returns the keys whose prompts are others now."""
        before = self.given
        changed = self._replace(given)
        self._earlier = [*self._earlier, before][-UNDOABLE:]
        return changed

    def undo(self) -> set[Key]:
        """Undo the last change. Raises PromptError where there is none."""
        if not self._earlier:
            raise PromptError("there is nothing to undo")
        changed = self._replace(self._earlier[-1])
        self._earlier.pop()
        return changed

    def _replace(self, given: GivenPrompts) -> set[Key]:
        write_whole(self._path, given.file(self._source, self._size).encode())
        before, self.given = self.given.prompts, given
        return {key for key in {*before, *given.prompts} if before.get(key) is not given.prompts.get(key)}

    def _read(self) -> GivenPrompts:
        found = read_prompt_file(self._path)
        if found.size is not None and found.size != self._size:
            sizes = [f"{width}x{height}" for width, height in (found.size, self._size)]
            raise PromptError(f"{self._path}: prompts on frames of {sizes[0]} pixels, but the clip's are {sizes[1]}")
        return GivenPrompts.of(found)
