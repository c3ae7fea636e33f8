"""Limits on the memories that a frame attends to, below the numbers that the model was made for."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from masklet.runtime.errors import PromptError
from masklet.runtime.tracking.memory_detail import MemoryDetail
from masklet.runtime.tracking.memory_policy import Attended


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """Limits on what is attended to; None for the numbers of the model and its memory policy.

    frames:   maximum number of unpinned memory frames, nearest first. Pinned frames (prompted ones, and those that a
              policy pins) are always attended to.
    pointers: maximum number of object pointers of unpinned frames, nearest first.
    detail:   how much of each memory is kept, for variants exported with --foveated.
    Raises PromptError for a limit below 1.
    """

    frames: int | None = None
    pointers: int | None = None
    detail: MemoryDetail | None = None

    def __post_init__(self) -> None:
        for name, limit in (("memory frames", self.frames), ("pointers", self.pointers)):
            if limit is not None and limit < 1:
                raise PromptError(f"{name} {limit}: give 1 or more; the previous frame is always attended to")

    def cut(self, attended: Attended, pinned: Collection[int]) -> Attended:
        """The part of a policy's choice within the limits. pinned: times of pinned frames."""
        return Attended(
            _nearest(attended.memories, self.frames, pinned), _nearest(attended.pointers, self.pointers, pinned)
        )


def _nearest(attended: Mapping[int, int], limit: int | None, pinned: Collection[int]) -> Mapping[int, int]:
    """Times with their row or distance: all pinned ones, and the nearest others up to the limit."""
    if limit is None:
        return attended
    others = sorted((t for t in attended if t not in pinned), key=lambda t: attended[t])
    kept = {*others[:limit], *(t for t in attended if t in pinned)}
    return {t: place for t, place in attended.items() if t in kept}
