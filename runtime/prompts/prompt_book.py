"""The prompts of a stream that are still to be given, by frame."""

from collections.abc import Iterable

from masklet.runtime.errors import PromptError
from masklet.runtime.prompts.prompts import Prompt, Schedule


class PromptBook:
    """Prompts by frame, each given once.

    exact: give a prompt exactly on its frame, as for a file. Otherwise on the first frame that is not earlier, since
           frames of a camera may be dropped.
    given: (frame, object id) of prompts that were given before a restart.
    """

    def __init__(self, schedule: Schedule, *, exact: bool, given: Iterable[tuple[int, int]] = ()) -> None:
        self.given = list(given)
        known = set(self.given)
        left = {f: {i: p for i, p in objects.items() if (f, i) not in known} for f, objects in schedule.items()}
        self._pending: Schedule = {frame: objects for frame, objects in sorted(left.items()) if objects}
        self._exact = exact

    @property
    def frames(self) -> list[int]:
        """The frames with prompts that are still to be given."""
        return list(self._pending)

    def due(self, index: int) -> dict[int, Prompt]:
        """The prompts for a frame, by object id; they then count as given."""
        frames = [f for f in self._pending if (f == index if self._exact else f <= index)]
        prompts: dict[int, Prompt] = {}
        for frame in frames:
            objects = self._pending.pop(frame)
            prompts.update(objects)
            self.given += [(frame, object_id) for object_id in objects]
        return prompts

    def check_used(self) -> None:
        """Raise PromptError, at the end of a stream, if the frame of a prompt did not come."""
        if self._pending:
            raise PromptError(f"prompts for frame {min(self._pending)} were not used: that frame did not come")
