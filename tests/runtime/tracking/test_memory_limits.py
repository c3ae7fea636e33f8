"""Limits on what is attended: pinned frames stay, of the others the nearest."""

import pytest
from masklet.runtime.errors import PromptError
from masklet.runtime.tracking.memory_limits import MemoryLimits
from masklet.runtime.tracking.memory_policy import Attended

# At time 20: frames 0 and 17 are pinned; 19, 18, 16, 15 are recent.
CHOSEN = Attended({0: 6, 17: 6, 19: 0, 18: 1, 16: 3, 15: 4}, {0: 20, 17: 3, 19: 1, 18: 2, 16: 4, 15: 5})


@pytest.mark.parametrize(
    ("limits", "memories", "pointers"),
    [
        (MemoryLimits(), {0, 15, 16, 17, 18, 19}, {0, 15, 16, 17, 18, 19}),
        (MemoryLimits(frames=2), {0, 17, 18, 19}, {0, 15, 16, 17, 18, 19}),
        (MemoryLimits(frames=1, pointers=3), {0, 17, 19}, {0, 16, 17, 18, 19}),
        (MemoryLimits(frames=6, pointers=16), {0, 15, 16, 17, 18, 19}, {0, 15, 16, 17, 18, 19}),
    ],
)
def test_the_nearest_frames_and_all_pinned_ones(limits: MemoryLimits, memories: set[int], pointers: set[int]) -> None:
    cut = limits.cut(CHOSEN, (0, 17))
    assert set(cut.memories) == memories
    assert set(cut.pointers) == pointers
    assert all(CHOSEN.memories[t] == row for t, row in cut.memories.items())
    assert all(CHOSEN.pointers[t] == distance for t, distance in cut.pointers.items())


@pytest.mark.parametrize("limits", [{"frames": 0}, {"pointers": 0}, {"frames": -1}])
def test_none_at_all_is_refused(limits: dict[str, int]) -> None:
    with pytest.raises(PromptError, match="give 1 or more"):
        MemoryLimits(limits.get("frames"), limits.get("pointers"))
