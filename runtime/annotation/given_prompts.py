"""What was given on which frame of a clip, and what objects are called. Never changed: any thread may read it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from masklet.runtime.errors import PromptError
from masklet.runtime.prompts.prompt_file import PromptFile
from masklet.runtime.prompts.prompt_records import PromptRecord
from masklet.runtime.prompts.prompts import Box, Mask, Prompt, Schedule, merge

Key = tuple[int, int]  # frame, object id


@dataclass(frozen=True, slots=True, eq=False)
class GivenPrompts:
    """prompts: one for each frame and object, everything that was given there. names: of objects, by id."""

    prompts: Mapping[Key, Prompt] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, file: PromptFile) -> "GivenPrompts":
        """What a prompts file holds."""
        plan = file.schedule()
        return cls({(frame, i): p for frame, objects in plan.items() for i, p in objects.items()}, file.names)

    @property
    def object_ids(self) -> list[int]:
        """The objects that have a prompt."""
        return sorted({object_id for _, object_id in self.prompts})

    def frames(self, object_id: int) -> list[int]:
        """The frames on which an object has a prompt, in order. Raises PromptError where it has none."""
        frames = sorted(frame for frame, one in self.prompts if one == object_id)
        if not frames:
            raise PromptError(f"there is no object {object_id}; there are {self.object_ids or 'none'}")
        return frames

    def first(self, object_id: int) -> int:
        """The frame of an object's first prompt. Raises PromptError where it has none."""
        return self.frames(object_id)[0]

    def with_prompt(self, frame: int, object_id: int, prompt: Prompt) -> "GivenPrompts":
        """With a further prompt. A mask, and a second box, take the place of what was there.

        Raises PromptError where the two do not combine.
        """
        key = frame, object_id
        there = self.prompts.get(key)
        if there is None or isinstance(prompt, Mask):
            joined = prompt
        elif isinstance(there, Box) and isinstance(prompt, Box):
            joined = replace(prompt, points=there.points)
        else:
            joined = merge(there, prompt)
        return replace(self, prompts={**self.prompts, key: joined})

    def without_prompt(self, frame: int, object_id: int) -> "GivenPrompts":
        """Without what was given to an object on a frame. Raises PromptError where nothing was."""
        if (frame, object_id) not in self.prompts:
            raise PromptError(f"nothing was given to object {object_id} on frame {frame}")
        return replace(self, prompts={key: p for key, p in self.prompts.items() if key != (frame, object_id)})

    def without(self, object_id: int) -> "GivenPrompts":
        """Without an object. Raises PromptError where there is none of that id."""
        self.frames(object_id)
        prompts = {key: p for key, p in self.prompts.items() if key[1] != object_id}
        return GivenPrompts(prompts, {i: name for i, name in self.names.items() if i != object_id})

    def named(self, object_id: int, name: str) -> "GivenPrompts":
        """With an object's name; an empty one is none. Raises PromptError where there is no such object."""
        self.frames(object_id)
        return replace(self, names={i: n for i, n in {**self.names, object_id: name}.items() if n})

    def schedule(self, objects: frozenset[int]) -> Schedule:
        """The prompts of some objects, by frame and object; those behind an object's first one correct it."""
        plan: Schedule = {}
        for (frame, object_id), prompt in sorted(self._correcting().items(), key=_key):
            if object_id in objects:
                plan.setdefault(frame, {})[object_id] = prompt
        return plan

    def file(self, source: str, size: tuple[int, int]) -> PromptFile:
        """As a prompts file. size: width and height of the frames in pixels."""
        given = sorted(self._correcting().items(), key=_key)
        records = [PromptRecord.of(frame, object_id, prompt) for (frame, object_id), prompt in given]
        return PromptFile(source=source, size=size, names=dict(self.names), prompts=records)

    def _correcting(self) -> dict[Key, Prompt]:
        first = {object_id: self.first(object_id) for object_id in self.object_ids}
        return {(frame, i): replace(prompt, corrects=frame > first[i]) for (frame, i), prompt in self.prompts.items()}


def _key(item: tuple[Key, Prompt]) -> Key:
    return item[0]
