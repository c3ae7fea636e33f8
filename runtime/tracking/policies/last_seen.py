"""Prompted frames, and the last frames on which the object was seen: few memories, and none of its absence.

masklet's own. SAM 2 remembers the six frames before this one, whatever was on them: after an occlusion they show that
the object is not there, and it is not found again. SAM 3 selects frames, but always attends to the one before. This
attends to frames with the object alone, and to two of them, as robots' cameras are run with (Isaac ROS attends to the
prompted and the last frame). A frame without the object is not even encoded, which makes its absence cheaper, too.
"""

from dataclasses import dataclass, replace

from masklet.runtime.tracking.memory_policy import Attended, MemoryPolicy, ObjectState, Seen, Slots, check_range


@dataclass(frozen=True, slots=True)
class LastSeenOptions:
    """Constants of the rule.

    frames:            so many frames on which the object was seen are attended beside the prompted ones; no more than
                       the model was trained with (6 for SAM 2).
    min_effective_iou: the object was seen where its effective IoU exceeds this, as in SAM 3, and its mask has a pixel.
    """

    frames: int = 2
    min_effective_iou: float = 0.01

    def __post_init__(self) -> None:
        check_range(self, 1, 100, "frames")
        check_range(self, 0, 1, "min_effective_iou")


@dataclass(frozen=True, slots=True)
class LastSeenState(ObjectState):
    """seen: times of the last frames without a prompt on which the object was seen, the newest last."""

    seen: tuple[int, ...] = ()


class LastSeenFrames(MemoryPolicy[LastSeenState, LastSeenOptions]):
    """The rank of a frame among those with the object is its place in time, however long ago it was (as in SAM 3)."""

    name, state_type, options_type = "last_seen", LastSeenState, LastSeenOptions

    @property
    def frames(self) -> int:
        """Frames that are attended beside the prompted ones."""
        return min(self.options.frames, self.spec.recent_frames)

    def after(self, state: LastSeenState, seen: Seen, pinned: bool) -> LastSeenState:
        times = state.seen
        if not pinned and seen.effective_iou > self.options.min_effective_iou and (seen.mask > 0).any():
            times = (*times, seen.time)[1 - self.spec.pointers :]
        return replace(state, pinned=self.pinned_after(state, seen, pinned), seen=times)

    def attended(self, state: LastSeenState, now: int) -> Attended:
        newest = state.seen[::-1]
        return self.ranked(now, self.latest_pinned(state), newest[: self.frames], newest)

    def forgotten(self, state: LastSeenState, since: int) -> LastSeenState:
        return replace(state, seen=tuple(t for t in state.seen if t < since))

    @property
    def slots(self) -> Slots:
        return Slots(self.spec.prompted_frames + self.frames, self.spec.prompted_frames + self.spec.pointers - 1)


POLICY = LastSeenFrames
