"""The prompts of a stream: those that are still to be given, by frame, and those that were given while it ran."""

from collections.abc import Iterable, Mapping

from masklet.runtime.errors import PromptError
from masklet.runtime.prompts.prompt_records import PromptRecord
from masklet.runtime.prompts.prompts import Prompt, Removals, Schedule


class PromptBook:
    """Prompts by frame, each given once.

    exact: give a prompt exactly on its frame, as for a file. Otherwise on the first frame that is not earlier, since
           frames of a camera may be dropped.
    given: (frame, object id) of prompts that were given before a restart.
    live:  the prompts that were given while the stream ran, in their order.
    names: what a user calls objects, by id. Both are replaced, never changed, so that any thread may read them.
    removals: the objects that leave before a frame, by frame.
    """

    def __init__(
        self,
        schedule: Schedule,
        *,
        exact: bool,
        given: Iterable[tuple[int, int]] = (),
        live: Iterable[PromptRecord] = (),
        names: Mapping[int, str] | None = None,
        removals: Removals | None = None,
    ) -> None:
        self.live = tuple(live)
        self.names: Mapping[int, str] = names or {}
        self.given = list(given)
        known = set(self.given)
        left = {f: {i: p for i, p in objects.items() if (f, i) not in known} for f, objects in schedule.items()}
        self._pending: Schedule = {frame: objects for frame, objects in sorted(left.items()) if objects}
        self._exact = exact
        self._leaving = dict(removals or {})

    @property
    def frames(self) -> list[int]:
        """The frames with prompts that are still to be given, or before which objects are still to leave."""
        return sorted({*self._pending, *self._leaving})

    @property
    def highest_id(self) -> int:
        """The highest object id that any prompt has, 0 without one."""
        ids = [i for objects in self._pending.values() for i in objects]
        given = [object_id for _, object_id in self.given]
        return max([*ids, *given, *self.names, *(one.object for one in self.live)], default=0)

    def due(self, index: int) -> dict[int, Prompt]:
        """The prompts for a frame, by object id; they then count as given."""
        prompts: dict[int, Prompt] = {}
        for frame in self._due_frames(self._pending, index):
            objects = self._pending.pop(frame)
            prompts.update(objects)
            self.given += [(frame, object_id) for object_id in objects]
        return prompts

    def leaving(self, index: int) -> list[int]:
        """The objects that leave before a frame; they then count as removed."""
        return [i for frame in self._due_frames(self._leaving, index) for i in self._leaving.pop(frame)]

    def _due_frames(self, frames: Iterable[int], index: int) -> list[int]:
        return [frame for frame in frames if (frame == index if self._exact else frame <= index)]

    def check_used(self) -> None:
        """Raise PromptError, at the end of a stream, if the frame of a prompt did not come."""
        if self.frames:
            raise PromptError(f"prompts for frame {self.frames[0]} were not used: that frame did not come")
