"""How much of its memories a frame attends to, where that is to be less than the model was made for."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from masklet.runtime.errors import PromptError
from masklet.runtime.tracking.memory_detail import MemoryDetail
from masklet.runtime.tracking.memory_policy import Attended


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """Limits on what is attended; None for what the model and its memory policy say.

    frames:   memories of frames that are not pinned, the nearest first. Pinned frames (prompted ones, and those that a
              policy pins) are always attended.
    pointers: object pointers of frames that are not pinned, the nearest first.
    detail:   how much of each memory is kept, for variants that were exported with --foveated.
    Raises PromptError for a limit below 1.
    """

    frames: int | None = None
    pointers: int | None = None
    detail: MemoryDetail | None = None

    def __post_init__(self) -> None:
        for name, limit in (("memory frames", self.frames), ("pointers", self.pointers)):
            if limit is not None and limit < 1:
                raise PromptError(f"{name} {limit}: give 1 or more; the frame before is attended always")

    def cut(self, attended: Attended, pinned: Collection[int]) -> Attended:
        """What of a policy's choice is attended. pinned: times of the frames that stay."""
        return Attended(
            _nearest(attended.memories, self.frames, pinned), _nearest(attended.pointers, self.pointers, pinned)
        )


def _nearest(attended: Mapping[int, int], limit: int | None, pinned: Collection[int]) -> Mapping[int, int]:
    """Times with their row or distance: the pinned ones, and of the others as many as allowed."""
    if limit is None:
        return attended
    others = sorted((t for t in attended if t not in pinned), key=lambda t: attended[t])
    kept = {*others[:limit], *(t for t in attended if t in pinned)}
    return {t: place for t, place in attended.items() if t in kept}
