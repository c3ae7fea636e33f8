"""SAM 3's policy: prompted frames, the previous frame, and the latest frames with a good mask."""

from dataclasses import dataclass, replace

from masklet.runtime.tracking.memory_policy import Attended, MemoryPolicy, ObjectState, Seen, check_range


@dataclass(frozen=True, slots=True)
class Sam3Options:
    """min_effective_iou: a frame is selected if its effective IoU exceeds this, 0..1 (mf_threshold)."""

    min_effective_iou: float = 0.01

    def __post_init__(self) -> None:
        check_range(self, 0, 1, "min_effective_iou")


@dataclass(frozen=True, slots=True)
class Sam3State(ObjectState):
    """selected: times of the selected frames, the newest last; as many as can be attended to."""

    selected: tuple[int, ...] = ()


class Sam3(MemoryPolicy[Sam3State, Sam3Options]):
    """The previous frame always counts, then the selected frames, of any age.

    So an object that returns is recognised by its appearance before it was hidden (sam3_tracker_base.py 517
    and 609-725).
    """

    name, state_type, options_type = "sam3", Sam3State, Sam3Options

    def after(self, state: Sam3State, seen: Seen, pinned: bool) -> Sam3State:
        selected = state.selected
        if not pinned and seen.effective_iou > self.options.min_effective_iou:
            selected = (*selected, seen.time)[-self.spec.pointers :]
        return replace(state, pinned=self.pinned_after(state, seen, pinned), selected=selected)

    def attended(self, state: Sam3State, now: int) -> Attended:
        """Pointers are of all these frames except the oldest, because Meta's loop ends one early (717)."""
        worth_it = state.selected[::-1][: self.spec.pointers - 1]
        times = worth_it if worth_it[:1] == (now - 1,) else (now - 1, *worth_it)
        return self.ranked(now, self.latest_pinned(state), times[: self.spec.recent_frames], times[:-1])

    def forgotten(self, state: Sam3State, since: int) -> Sam3State:
        return replace(state, selected=tuple(t for t in state.selected if t < since))


POLICY = Sam3
