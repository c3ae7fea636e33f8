"""VideoTracker: tracks prompted objects frame by frame, without look-ahead (SAM 2's PVS task)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.bundle.tuning import Attending
from masklet.runtime.pixels.geometry import (
    boxes_xyxy,
    draw_mask,
    fill_holes,
    masks_to_source,
    non_overlapping,
    resize_mask,
)
from masklet.runtime.prompts.prompts import Mask, Prompt
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.tracking.known_policies import Memory
from masklet.runtime.tracking.masklets import Decoded, Masklets
from masklet.runtime.tracking.memory_limits import MemoryLimits
from masklet.runtime.tracking.snapshot import ObjectSnapshot, TrackerSnapshot
from masklet.runtime.tracking.update_interval import LastSeen, UpdateInterval, check_update_interval


@dataclass(frozen=True, slots=True)
class TrackerOptions:
    """Options of tracking; defaults are Meta's.

    fill_hole_area:        holes of at most this number of low-resolution pixels are filled (build_sam.py 123).
    non_overlapping:       where masks overlap in the output, the highest logit keeps the pixel (vp 401).
    non_overlapping_memory: the same before masks are encoded into memory (sb 692).
    pin_corrections:       a corrected frame counts as prompted from then on, as in SAM 2.1's training
                           (add_all_frames_to_correct_as_cond); otherwise as a recent frame.
    forget_around_prompts: recent memories near a newly prompted frame are dropped (vp 956).
    update_interval:       objects that move as expected are segmented on every n-th frame only, and their masks are
                           moved in between (update_interval.py); see `FrameResult.stale`.
    limits:                how much of its memories a frame attends to.
    batch:                 maximum number of objects per call of a stage; bounds the memory of a call.
    """

    fill_hole_area: int = 8
    non_overlapping: bool = False
    non_overlapping_memory: bool = False
    pin_corrections: bool = True
    forget_around_prompts: bool = False
    update_interval: int = 1
    limits: MemoryLimits | None = None
    batch: int = 8


@dataclass(frozen=True, slots=True)
class _Shown:
    """An object on the current frame."""

    low_res: Tensor  # [1, h, w] logits, holes filled
    score: float  # probability of being visible
    without_memory: bool  # it was prompted on this frame before it was tracked
    stale: int = 0  # frames since it was segmented


@dataclass(frozen=True, slots=True, eq=False)
class PendingResult:
    """The result of a frame whose masks are not yet enlarged. `result` uses no session: any thread may call it.

    low_res: [objects, h, w] logits, holes filled.
    scores:  [objects] float32.
    stale:   as in FrameResult.
    """

    frame: Frame
    object_ids: list[int]
    low_res: Tensor
    scores: Tensor
    non_overlapping: bool
    stale: Tensor | None = None

    def result(self) -> FrameResult:
        """Enlarge the masks to the frame's size."""
        ids = np.array(self.object_ids, np.int64)
        if self.non_overlapping:
            masks = masks_to_source(self.low_res, self.frame.hw, non_overlapping=True)
            boxes = boxes_xyxy(masks)
        else:
            masks = np.zeros((len(ids), *self.frame.hw), bool)
            drawn = [draw_mask(logit, mask) for logit, mask in zip(self.low_res, masks, strict=True)]
            boxes = np.array(drawn, np.float32).reshape(-1, 4)
        return FrameResult(self.frame.index, self.frame.time_s, ids, masks, boxes, self.scores, stale=self.stale)


class VideoTracker:
    """Tracks prompted objects through a stream of frames.

    Give frames in order of time, each once, forwards or backwards. A prompt on any frame adds an object, `remove` ends
    one; other objects are not affected. Memory does not grow with the stream.

        tracker = VideoTracker(Bundle.load("sam2.1-tiny.bundle"))
        for frame in open_source("clip.mp4"):
            result = tracker.step(frame, {1: Points.click(480, 270)} if frame.index == 0 else {})

    sessions: a bundle, which is opened on ONNX Runtime's CPU provider, or open sessions, which are then shared.
    memory:   memory policy: its name, such as "sam2", with options as in "sam3:min_effective_iou=0.1", or its options
              object; None for the model's own.
    Raises PolicyError if there is no such policy or the model does not have the outputs that it needs.
    """

    def __init__(
        self, sessions: Bundle | Sessions, options: TrackerOptions | None = None, memory: Memory = None
    ) -> None:
        self._options = options or TrackerOptions()
        opened = sessions if isinstance(sessions, Sessions) else Sessions.open(sessions)
        self._masklets = Masklets(opened, memory, self._options.limits)
        self._bank = self._masklets.bank
        self._shown: dict[int, _Shown] = {}
        self._updates = UpdateInterval(self._options.update_interval)
        check_update_interval(self._options.update_interval, self._bank.policy)

    @property
    def object_ids(self) -> list[int]:
        """Ids of the tracked objects, in the order in which they were added."""
        return self._bank.object_ids

    def step(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None) -> FrameResult:
        """Track every object to the next frame.

        prompts: object id -> prompt in the pixels of this frame. A prompted object is segmented from its prompt only,
                 as on its first frame; a prompt with `corrects` has the effect of `refine` after this.
        Raises PromptError, before any change, if a prompt does not fit the frame.
        """
        return self.advance(frame, prompts)[0].result()

    def advance(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None) -> list[PendingResult]:
        """Like `step`, but masks are not yet enlarged to the frame's size; another thread can do that.

        Returns the results that are due: the one of this frame.
        """
        prompts = self._masklets.check_all(prompts, frame)
        self._masklets.begin(frame)
        self._shown.clear()
        known = self._bank.object_ids
        corrections = {i: prompt for i, prompt in prompts.items() if prompt.corrects and i in known}
        fresh = {i: prompt for i, prompt in prompts.items() if i not in corrections}
        decoded = [self._prompted(i, prompt) for i, prompt in fresh.items()]
        due = [i for i in known if i not in fresh]
        waiting = self._updates.waiting([i for i in due if i not in corrections], self._masklets.time)
        decoded += self._masklets.tracked([i for i in due if i not in waiting], self._options.batch)
        self._remember(decoded)
        self._move_along(waiting)
        self._remember([self._prompted(i, prompt) for i, prompt in corrections.items()])
        return [self.current()]

    def late(self) -> list[PendingResult]:
        """Always empty: no result is delayed."""
        return []

    def refine(self, object_id: int, prompt: Prompt) -> FrameResult:
        """Prompt an object on the latest frame, after seeing its result.

        A known object is corrected: the decoder uses its memory and its current logits together with the new prompt (vp
        249-262), and the memory of the frame is encoded again. As in Meta's predictor, these clicks replace earlier
        clicks on this frame: give those again if they still apply. An unknown object is added.
        Returns the updated result of the frame.
        Raises PromptError if there is no frame yet or the prompt does not fit it.
        """
        self._masklets.check(object_id, prompt, self._masklets.frame)
        self._remember([self._prompted(object_id, prompt)])
        return self.current().result()

    def attend(self, attending: Attending) -> None:
        """Attend to as many frames and pointers from the next frame on, and segment objects as often."""
        bank = self._bank
        bank.limits = replace(bank.limits, frames=attending.memory_frames, pointers=attending.pointers)
        self._updates.interval = attending.update_interval

    def remove(self, object_id: int) -> None:
        """Stop tracking an object. Raises PromptError if there is no object of that id."""
        self._bank.forget(object_id)
        self._shown.pop(object_id, None)
        self._updates.drop(object_id)

    def object_snapshot(self, object_id: int) -> ObjectSnapshot:
        """The state of an object after the last frame. Raises PromptError if it is not tracked."""
        return self._bank.object_snapshot(object_id)

    def put_back(self, snapshot: ObjectSnapshot) -> None:
        """Restore an earlier snapshot of an object, which may have been removed, from the next frame on."""
        self._bank.put_back(snapshot)
        self._updates.drop(snapshot.object_id)

    def snapshot(self) -> TrackerSnapshot:
        """The state after the last frame, from which a tracker of the same model can continue."""
        return self._masklets.snapshot()

    def restore(self, snapshot: TrackerSnapshot) -> None:
        """Continue from a snapshot: later results are the same as without the interruption.

        `refine` is possible after the next frame. With an update interval every object is segmented on the next frame.
        Raises StateError if the snapshot is of another model or memory policy, or if this tracker already processed
        frames.
        """
        self._masklets.restore(snapshot)

    def _prompted(self, object_id: int, prompt: Prompt) -> Decoded:
        """Segment one object from a prompt; without memory if it was not tracked to this frame (vp 228)."""
        shown = self._shown.get(object_id)
        without_memory = shown is None or shown.without_memory
        pinned = without_memory or self._options.pin_corrections
        if isinstance(prompt, Mask):
            mask = resize_mask(prompt.mask, self._masklets.mask_hw)
            decoded = self._masklets.from_masks([object_id], mask[None], pinned=pinned)
        else:
            earlier = None if shown is None else shown.low_res
            decoded = self._masklets.from_points(
                object_id, prompt, earlier=earlier, with_memory=not without_memory, pinned=pinned
            )
        # Holes of a given mask are filled as well (vp 766: holes of every output are filled).
        decoded.low_res = self._filled(decoded.low_res)
        return decoded

    def _remember(self, decoded: list[Decoded]) -> None:
        """Encode decoded masks into memory, and use them as the results of their objects."""
        masks = [d.low_res for d in decoded]
        if self._options.non_overlapping_memory and masks:
            apart = non_overlapping(np.concatenate(masks)[:, 0])[:, None]
            masks = np.split(apart, np.cumsum([len(m) for m in masks])[:-1])
        for part, mask in zip(decoded, masks, strict=True):
            if part.prompted and self._options.forget_around_prompts:
                for object_id in set(part.object_ids) & set(self._bank.object_ids):
                    self._bank.forget_recent(object_id)
            self._masklets.remember(part, mask)
            low_res = part.low_res if part.prompted else self._filled(part.low_res)
            visible = 1.0 / (1.0 + np.exp(-part.score[:, 0].astype(np.float64)))
            for row, object_id in enumerate(part.object_ids):
                before = self._shown.get(object_id)
                alone = part.prompted and (before is None or before.without_memory)
                self._shown[object_id] = _Shown(low_res[row], float(visible[row]), alone)
                self._updates.note(object_id, self._masklets.time, low_res[row], float(visible[row]))

    def _move_along(self, waiting: Mapping[int, LastSeen]) -> None:
        """Move the masks of objects that are not segmented on this frame to their expected positions."""
        time = self._masklets.time
        for object_id, seen in waiting.items():
            self._shown[object_id] = _Shown(seen.moved(time), seen.score, False, time - seen.time)

    def _filled(self, low_res: Tensor) -> Tensor:
        """Fill small holes of [objects, 1, h, w] logits."""
        area = self._options.fill_hole_area
        return fill_holes(low_res[:, 0], area)[:, None] if area else low_res

    def current(self) -> PendingResult:
        """The latest frame, as known now. Raises PromptError if there is none yet."""
        ids = [i for i in self._bank.object_ids if i in self._shown]
        shown = [self._shown[i] for i in ids]
        low_res = np.concatenate([each.low_res for each in shown]) if shown else np.zeros((0, 1, 1), np.float32)
        scores = np.array([each.score for each in shown], np.float32)
        stale = np.array([each.stale for each in shown], np.int64) if any(each.stale for each in shown) else None
        return PendingResult(self._masklets.frame, ids, low_res, scores, self._options.non_overlapping, stale)
