"""DAM4SAM's policy: frames with a visible distractor stay, and recent frames are spread over time.

Videnovic et al., "A Distractor-Aware Memory for Visual Object Tracking with SAM2", CVPR 2025, section 3. Constants and
details as in the authors' code (D = dam4sam_tracker.py, B = sam2/modeling/sam2_base.py, U = sam2/modeling/
sam2_utils.py). The authors' code keeps every frame of a video, but only a bounded number can be attended to; this
policy attends to the same ones. Differences: areas, parts and boxes are those of low-resolution masks (theirs: of masks
of the video); the distance of a pointer is divided by the same number on every frame, as in SAM 2 (theirs: by the
number of frames so far, up to 15); and if several frames are prompted, all of them belong to the distractor-resolving
memory, the first one permanently (theirs tracks one object with one prompt).
"""

from dataclasses import dataclass, replace
from statistics import median

import cv2
import numpy as np
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.tracking.mask_boxes import box_of, largest_part
from masklet.runtime.tracking.memory_policy import Attended, MemoryPolicy, ObjectState, Seen, Slots, check_range


@dataclass(frozen=True, slots=True)
class Dam4SamOptions:
    """Constants. A frame joins the distractor-resolving memory (DRM) if all conditions hold (D 223-262).

    min_iou:         the predicted IoU of its mask exceeds this.
    area_change:     the area of its mask is within 1 - this and 1 + this of the median of recent areas.
    areas, areas_of: the median is over this number of latest areas above zero, of at most this number of latest frames.
    min_distance:    the last frame that joined is more than this number of frames ago.
    max_box_iou:     with a distractor, the IoU of the mask's box and the box around both is at most this.
    drm_frames:      frames of the DRM that are attended to: the first prompted one, and the latest (U 32-60).
    stride:          recent frames (RAM) are the last one with the target, then every stride-th frame (B 557-600).
    """

    min_iou: float = 0.8
    area_change: float = 0.2
    areas: int = 10
    areas_of: int = 300
    min_distance: int = 5
    max_box_iou: float = 0.7
    drm_frames: int = 4
    stride: int = 5

    def __post_init__(self) -> None:
        check_range(self, 0, 1, "min_iou", "area_change", "max_box_iou")
        check_range(self, 1, 1000, "areas", "areas_of")
        check_range(self, 0, 1000, "min_distance")
        check_range(self, 1, 100, "drm_frames", "stride")


@dataclass(frozen=True, slots=True)
class Dam4SamState(ObjectState):
    """pinned: the frames of the DRM.

    born:    time of the first frame; -1 before it.
    tracked: number of frames without a prompt so far.
    areas:   (number of such a frame, area of its mask): the latest above zero.
    joined:  time of the last unprompted frame that joined the DRM; -1 if none did.
    visible: times of frames with a non-empty mask, as many as may still be attended to.
    """

    born: int = -1
    tracked: int = 0
    areas: tuple[tuple[int, int], ...] = ()
    joined: int = -1
    visible: tuple[int, ...] = ()


class Dam4Sam(MemoryPolicy[Dam4SamState, Dam4SamOptions]):
    """Two memories: distractor-resolving (DRM, pinned) and recent appearance (RAM).

    RAM has the slots that the DRM leaves, and skips frames on which the target was not visible.
    """

    name, state_type, options_type = "dam4sam", Dam4SamState, Dam4SamOptions
    needs = frozenset({"candidate_masks", "candidate_ious"})

    def after(self, state: Dam4SamState, seen: Seen, pinned: bool) -> Dam4SamState:
        mask = seen.mask > 0
        area = cv2.countNonZero(mask.view(np.uint8))
        state = replace(state, born=seen.time if state.born < 0 else state.born)
        if not seen.prompted:
            state = self._measured(state, area)
            if area and not pinned and self._joins(state, seen, mask, area):
                state, pinned = replace(state, joined=seen.time), True
        visible = (*state.visible, seen.time) if area else state.visible
        state = replace(state, pinned=(*state.pinned, seen.time) if pinned else state.pinned, visible=visible)
        return self._trimmed(state, seen.time)

    def attended(self, state: Dam4SamState, now: int) -> Attended:
        """DRM has the last temporal row; RAM's rows are ranks, the newest first (B 612-633)."""
        resolving = self._resolving(state, now)
        recent = self._recent(state, now, resolving)
        memories = {t: row for row, t in enumerate(recent)} | dict.fromkeys(resolving, self.spec.recent_frames)
        pointers = {t: now - t for t in state.visible if now - t < self.spec.pointers}
        return Attended(memories, pointers | {t: now - t for t in resolving})

    def kept(self, state: Dam4SamState, now: int) -> tuple[set[int], set[int]]:
        pointers = {t for t in state.visible if now - t < self.spec.pointers}
        pinned = self._latest(state)
        spread = self._spread(state)[: self._room(self._resolving(state, now))]
        return {*pinned, *spread, *self._unpinned(state)[-1:]}, {*pinned, *pointers}

    def forgotten(self, state: Dam4SamState, since: int) -> Dam4SamState:
        return replace(state, visible=tuple(t for t in state.visible if t < since or t in state.pinned))

    @property
    def slots(self) -> Slots:
        """What `kept` has at most: the DRM with one frame more, RAM with two more; and a free row to exchange two."""
        drm = self.options.drm_frames
        return Slots(max(self.spec.recent_frames + 3, drm + 2) + 1, drm + self.spec.pointers + 1)

    def _measured(self, state: Dam4SamState, area: int) -> Dam4SamState:
        """The state with the area of a frame added."""
        number = state.tracked + 1
        areas = (*state.areas, (number, area)) if area else state.areas
        areas = tuple(one for one in areas if one[0] > number - self.options.areas_of)[-self.options.areas :]
        return replace(state, tracked=number, areas=areas)

    def _joins(self, state: Dam4SamState, seen: Seen, mask: Tensor, area: int) -> bool:
        """Whether a frame joins the DRM (D 219-262)."""
        if state.tracked < 2 or seen.iou <= self.options.min_iou:
            return False
        if state.joined >= 0 and seen.time - state.joined <= self.options.min_distance:
            return False
        ratio = area / median(each for _, each in state.areas)
        if not 1 - self.options.area_change <= ratio <= 1 + self.options.area_change:
            return False
        return self._sees_distractor(seen, mask)

    def _sees_distractor(self, seen: Seen, mask: Tensor) -> bool:
        """Whether another candidate has a large part away from the mask."""
        own = box_of(mask)
        if own is None or seen.candidates is None or seen.candidate_ious is None:
            return False
        taken = int(np.argmax(seen.candidate_ious))
        for number, candidate in enumerate(seen.candidates):
            if number == taken:
                continue
            elsewhere = (candidate > 0) & ~mask
            whole = box_of(elsewhere)
            if whole is None or own.area > self.options.max_box_iou * own.joined(whole).area:
                continue  # no part of it can be far enough away
            part = largest_part(elsewhere)
            if part is not None and own.area <= self.options.max_box_iou * own.joined(part).area:
                return True
        return False

    def _latest(self, state: Dam4SamState) -> set[int]:
        """The DRM frames that may be attended to: one more than are, because the previous frame does not count yet."""
        return {*state.pinned[:1], *state.pinned[1:][-self.options.drm_frames :]}

    def _resolving(self, state: Dam4SamState, now: int) -> tuple[int, ...]:
        """The DRM frames that are attended to; the previous frame belongs to RAM, except the very first one."""
        first, later = state.pinned[:1], [t for t in state.pinned[1:] if t != now - 1]
        return *first, *later[max(0, len(later) + 1 - self.options.drm_frames) :]

    def _recent(self, state: Dam4SamState, now: int, resolving: tuple[int, ...]) -> list[int]:
        """The RAM frames, the newest first."""
        before = now - 1 in state.visible and now - 1 not in resolving
        newest = [now - 1] if before else self._unpinned(state)[-1:]
        if not newest:
            return []
        return [*newest, *(t for t in self._spread(state) if t < newest[0])][: self._room(resolving)]

    def _room(self, resolving: tuple[int, ...]) -> int:
        """The slots that the DRM leaves to RAM."""
        return max(0, self.spec.recent_frames + 1 - len(resolving))

    def _unpinned(self, state: Dam4SamState) -> list[int]:
        return [t for t in state.visible if t not in state.pinned]

    def _spread(self, state: Dam4SamState) -> list[int]:
        """Every stride-th frame since the first one, the newest first."""
        return [t for t in self._unpinned(state)[::-1] if (t - state.born) % self.options.stride == 0]

    def _trimmed(self, state: Dam4SamState, time: int) -> Dam4SamState:
        """The state without frames that can no longer be attended to."""
        window = time + 1 - self.spec.pointers
        wanted = {*self._spread(state)[: self.spec.recent_frames], *self._unpinned(state)[-1:]}
        pinned = self._latest(state)
        return replace(
            state,
            pinned=tuple(t for t in state.pinned if t in pinned or t > window),
            visible=tuple(t for t in state.visible if t in wanted or t > window),
        )


POLICY = Dam4Sam
