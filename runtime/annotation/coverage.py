"""Which run has the say about an object on a frame, and where its mask is still missing."""

from collections.abc import Sequence
from typing import Literal

from masklet.runtime.annotation.clip_masks import ClipMasks
from masklet.runtime.annotation.given_prompts import GivenPrompts

Direction = Literal["forwards", "backwards"]


def region(given: GivenPrompts, indices: Sequence[int], object_id: int, direction: Direction) -> list[int]:
    """The frames on which the run in this direction says where an object is.

    A run forwards does from its first prompt on, a run backwards before that.
    """
    first, forwards = given.first(object_id), direction == "forwards"
    return [frame for frame in indices if (frame >= first) == forwards]


def missing(given: GivenPrompts, masks: ClipMasks, indices: Sequence[int], object_id: int, direction: Direction) -> int:
    """Frames in this direction on which an object has no mask yet."""
    known = masks.frames(object_id)
    return sum(1 for frame in region(given, indices, object_id, direction) if frame not in known)


def most_missing(given: GivenPrompts, masks: ClipMasks, indices: Sequence[int], direction: Direction) -> int:
    """The most that any object misses."""
    return max((missing(given, masks, indices, i, direction) for i in given.object_ids), default=0)
