"""SAMURAI's policy: a motion model helps to choose the mask, and only good frames are remembered.

Yang et al., "SAMURAI: Adapting Segment Anything Model for Zero-Shot Visual Tracking with Motion-Aware Memory", 2024.
Details as in the authors' code (B = sam2/modeling/sam2_base.py 395-500 and 655-690), constants as in their
configuration (configs/samurai/*.yaml). Differences: `motion_weight` is 0.25 for every size (theirs is 0.15 for large);
each object has a motion model (theirs is one for the first); a prompt of any kind restarts it from the prompted mask
(theirs ignores boxes and masks); the first frame after the first prompt counts like any other (their loop leaves it
out); boxes are measured on low-resolution masks and multiplied by four. Of all good frames their code keeps fifteen and
attends to the latest; this policy keeps only those.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.tracking.box_motion import NOWHERE, BoxMotion, Corners, overlap
from masklet.runtime.tracking.mask_boxes import box_of
from masklet.runtime.tracking.memory_policy import Attended, Choice, MemoryPolicy, ObjectState, Seen, check_range

ENLARGED = 4  # factor from low-resolution pixels to the pixels of the authors' code


@dataclass(frozen=True, slots=True)
class SamuraiOptions:
    """Constants.

    motion_weight:    weight of the motion score, the IoU of a candidate's box with the predicted box; the predicted IoU
                      of its mask has the remaining weight (kf_score_weight).
    stable_frames:    number of consecutive frames on which the motion model must be right before it is used.
    stable_iou:       predicted IoU that such a frame must exceed (stable_ious_threshold).
    min_object_score: the object is visible if its visibility logit exceeds this; 0 in SAM 2.
    min_iou, min_score, min_motion: a frame is good, and remembered, if its predicted IoU, visibility logit and motion
                      score exceed these (memory_bank_*_threshold).
    camera_motion:    subtract the camera's motion from the object's, for moving cameras. Not in the authors' code.
    """

    motion_weight: float = 0.25
    stable_frames: int = 15
    stable_iou: float = 0.3
    min_object_score: float = -1.0
    min_iou: float = 0.5
    min_score: float = 0.0
    min_motion: float = 0.0
    camera_motion: bool = False

    def __post_init__(self) -> None:
        check_range(self, 0, 1, "motion_weight", "stable_iou", "min_iou", "min_motion")
        check_range(self, 1, 1000, "stable_frames")
        check_range(self, -100, 0, "min_object_score")
        check_range(self, -100, 100, "min_score")


@dataclass(frozen=True, slots=True)
class SamuraiState(ObjectState):
    """stable: number of consecutive frames on which the motion model was right.

    motion: motion model; None before the first mask.
    good:   times of good frames, the newest last; as many as are attended to.
    """

    stable: int = 0
    motion: BoxMotion | None = None
    good: tuple[int, ...] = ()


class _Step(NamedTuple):
    """The motion model and its stability after a frame, and the motion score; None without one."""

    motion: BoxMotion
    stable: int
    score: float | None


class Samurai(MemoryPolicy[SamuraiState, SamuraiOptions]):
    """The previous frame always counts, then the latest good frames; their rank is their temporal position."""

    name, state_type, options_type = "samurai", SamuraiState, SamuraiOptions
    needs = frozenset({"candidate_masks", "candidate_ious", "candidate_pointers"})
    chooses = True

    @property
    def follows_camera(self) -> bool:
        return self.options.camera_motion

    def choose(self, state: SamuraiState, seen: Seen) -> Choice | None:
        """The candidate with the largest weighted sum of motion score and predicted IoU (B 452-476)."""
        if seen.candidates is None or seen.candidate_ious is None or seen.score <= self.options.min_object_score:
            return None
        if state.motion is None or state.stable < self.options.stable_frames:
            best = int(np.argmax(seen.candidate_ious))
        else:
            expected = self._predicted(state.motion, seen).corners
            motion = np.array([overlap(expected, _corners(mask)) for mask in seen.candidates], np.float32)
            weight = self.options.motion_weight
            best = int(np.argmax(weight * motion + (1 - weight) * seen.candidate_ious))
        return None if seen.score > 0 and best == int(np.argmax(seen.candidate_ious)) else Choice(best)

    def after(self, state: SamuraiState, seen: Seen, pinned: bool) -> SamuraiState:
        step = self._step(state, seen)
        good = state.good
        if not pinned and self._is_good(seen, step):
            good = (*good, seen.time)[-self.spec.recent_frames :]
        pinned_times = self.pinned_after(state, seen, pinned)
        return replace(state, pinned=pinned_times, stable=step.stable, motion=step.motion, good=good)

    def attended(self, state: SamuraiState, now: int) -> Attended:
        """Memories of good frames (B 657-690), pointers as in SAM 2."""
        good = state.good[::-1]
        memories = good if good[:1] == (now - 1,) else (now - 1, *good)
        before = range(now - 1, now - self.spec.pointers, -1)
        return self.ranked(now, self.latest_pinned(state), memories[: self.spec.recent_frames], before)

    def forgotten(self, state: SamuraiState, since: int) -> SamuraiState:
        return replace(state, good=tuple(t for t in state.good if t < since))

    def _step(self, state: SamuraiState, seen: Seen) -> _Step:
        """The motion model after a frame (B 417-497)."""
        corners = _corners(seen.mask)
        if seen.prompted or state.motion is None or state.stable == 0:
            return _Step(BoxMotion.start(corners), 1, None)
        expected = self._predicted(state.motion, seen)
        if state.stable < self.options.stable_frames:
            right, stable, score = seen.iou > self.options.stable_iou, state.stable + 1, None
        else:
            right, stable = seen.iou >= self.options.stable_iou, state.stable
            score = overlap(expected.corners, corners)
        return _Step(expected.updated(corners) if right else expected, stable if right else 0, score)

    def _predicted(self, motion: BoxMotion, seen: Seen) -> BoxMotion:
        """The predicted box on a frame."""
        if seen.camera is not None:
            height, width = seen.mask.shape
            motion = motion.moved(seen.camera.within(ENLARGED * height, ENLARGED * width))
        return motion.predicted()

    def _is_good(self, seen: Seen, step: _Step) -> bool:
        moved_well = step.score is None or step.score > self.options.min_motion
        return seen.iou > self.options.min_iou and seen.score > self.options.min_score and moved_well


def _corners(mask: Tensor) -> Corners:
    """The box of a mask's pixels above zero, first and last pixel, in pixels of the enlarged mask."""
    box = box_of(mask > 0)
    if box is None:
        return NOWHERE
    last = ENLARGED * (box.left + box.width) - 1, ENLARGED * (box.top + box.height) - 1
    return float(ENLARGED * box.left), float(ENLARGED * box.top), float(last[0]), float(last[1])


POLICY = Samurai
