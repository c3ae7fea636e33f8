"""SAM 2's policy: prompted frames, and the most recent frames (sam2_base.py 497-645)."""

from dataclasses import dataclass, replace

from masklet.runtime.tracking.memory_policy import Attended, MemoryPolicy, ObjectState, Seen


@dataclass(frozen=True, slots=True)
class Sam2Options:
    """No options: all constants are sizes that the model was trained with."""


class Sam2(MemoryPolicy[ObjectState, Sam2Options]):
    """Every frame counts; its rank is its distance. Prompted frames beyond the maximum count as unprompted (sb 565)."""

    name, state_type, options_type = "sam2", ObjectState, Sam2Options

    def after(self, state: ObjectState, seen: Seen, pinned: bool) -> ObjectState:
        return replace(state, pinned=self.pinned_after(state, seen, pinned))

    def attended(self, state: ObjectState, now: int) -> Attended:
        before = range(now - 1, now - self.spec.pointers, -1)
        memories = range(now - 1, now - 1 - self.spec.recent_frames, -1)
        return self.ranked(now, self.latest_pinned(state), memories, before)


POLICY = Sam2
