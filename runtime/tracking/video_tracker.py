"""VideoTracker: prompts on any frame become masklets, a frame at a time, without look-ahead (SAM 2's PVS task)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import PolicyError
from masklet.runtime.pixels.geometry import boxes_xyxy, fill_holes, masks_to_source, non_overlapping, resize_mask
from masklet.runtime.prompts.prompts import Mask, Prompt
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.tracking.known_policies import Memory
from masklet.runtime.tracking.masklets import Decoded, Masklets
from masklet.runtime.tracking.memory_limits import MemoryLimits
from masklet.runtime.tracking.snapshot import ObjectSnapshot, TrackerSnapshot
from masklet.runtime.tracking.update_interval import LastSeen, UpdateInterval


@dataclass(frozen=True, slots=True)
class TrackerOptions:
    """What a user may choose about tracking; the defaults are Meta's.

    fill_hole_area:        holes of at most so many low-resolution pixels are filled (build_sam.py 123).
    non_overlapping:       where masks overlap in the output, the higher logit keeps the pixel (vp 401).
    non_overlapping_memory: the same before masks are encoded into memory (sb 692).
    pin_corrections:       a corrected frame counts as prompted from then on, as in SAM 2.1's training
                           (add_all_frames_to_correct_as_cond); otherwise as a recent one.
    forget_around_prompts: recent memories near a newly prompted frame are let go (vp 956).
    update_interval:       objects that move as expected are segmented every n-th frame, and their masks moved along in
                           between (update_interval.py); what is stale is said in the result.
    limits:                how much of its memories a frame attends to.
    batch:                 objects that share one call of a stage; bounds the memory of the calls.
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
    """What is known of an object on the current frame."""

    low_res: Tensor  # [1, h, w] logits, holes filled
    score: float  # probability of being visible
    without_memory: bool  # it was prompted before it was tracked here
    stale: int = 0  # frames since it was segmented


@dataclass(frozen=True, slots=True, eq=False)
class PendingResult:
    """A frame's result before its masks have the frame's size. `result` takes no session: another thread may call it.

    low_res: [objects, h, w] logits, holes filled; scores: [objects] float32; stale: as in FrameResult.
    """

    frame: Frame
    object_ids: list[int]
    low_res: Tensor
    scores: Tensor
    non_overlapping: bool
    stale: Tensor | None = None

    def result(self) -> FrameResult:
        """Bring the masks to the frame's size."""
        if self.object_ids:
            masks = masks_to_source(self.low_res, self.frame.hw, non_overlapping=self.non_overlapping)
        else:
            masks = np.zeros((0, *self.frame.hw), bool)
        ids = np.array(self.object_ids, np.int64)
        boxes = boxes_xyxy(masks)
        return FrameResult(self.frame.index, self.frame.time_s, ids, masks, boxes, self.scores, stale=self.stale)


class VideoTracker:
    """Tracks prompted objects through a stream of frames.

    Frames are given in the order of time, each once, forwards or backwards. Objects join by a prompt on any frame
    and leave by `remove`; neither disturbs the others. What is held does not grow with the stream.

        tracker = VideoTracker(Bundle.load("sam2.1-tiny.bundle"))
        for frame in open_source("clip.mp4"):
            result = tracker.step(frame, {1: Points.click(480, 270)} if frame.index == 0 else {})

    sessions: a bundle, opened on ONNX Runtime's CPU provider, or sessions that are open already (and then shared).
    memory:   what is remembered of each object: the name of a memory policy, as "sam2", or "sam3:min_effective_iou=0.1"
              to change an option, or the policy's options; the model's own policy where None.
    Raises PolicyError where there is no such policy, or the model cannot serve it.
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
        if self._options.update_interval > 1 and self._bank.policy.chooses:
            raise PolicyError(
                f"update interval {self._options.update_interval}: memory policy {self._bank.policy.name!r} looks at "
                "every frame; give another policy, or an interval of 1"
            )

    @property
    def object_ids(self) -> list[int]:
        """The tracked objects, in the order in which they joined."""
        return self._bank.object_ids

    def step(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None) -> FrameResult:
        """Track every object onto the next frame.

        prompts: object id -> prompt in this frame's pixels. A prompted object is segmented from its prompt alone,
                 as on its first frame; a prompt that `corrects` does what `refine` after this does.
        Raises PromptError, before anything has changed, where a prompt does not fit the frame.
        """
        return self.advance(frame, prompts)[0].result()

    def advance(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None) -> list[PendingResult]:
        """As `step`, without bringing the masks to the frame's size yet, for a thread beside this one to do so.

        Returns the results that are due: the frame's own.
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
        """The results that are still to come after the last frame: none, they are never late."""
        return []

    def refine(self, object_id: int, prompt: Prompt) -> FrameResult:
        """Prompt an object on the frame that was last given, after seeing its result.

        A known object is corrected: the decoder sees its memory and its present logits beside the new prompt (vp
        249-262), and the frame's memory is encoded anew. As in Meta's predictor the clicks given here stand alone: give
        earlier ones of the frame again where they still hold. An unknown object joins. Returns the frame's result,
        renewed.
        Raises PromptError where there is no frame yet or the prompt does not fit it.
        """
        self._masklets.check(object_id, prompt, self._masklets.frame)
        self._remember([self._prompted(object_id, prompt)])
        return self.current().result()

    def remove(self, object_id: int) -> None:
        """Stop tracking an object. Raises PromptError where there is none of that id."""
        self._bank.forget(object_id)
        self._shown.pop(object_id, None)
        self._updates.drop(object_id)

    def object_snapshot(self, object_id: int) -> ObjectSnapshot:
        """What is remembered of an object after the last frame. Raises PromptError where it is not tracked."""
        return self._bank.object_snapshot(object_id)

    def put_back(self, snapshot: ObjectSnapshot) -> None:
        """Go on from an earlier snapshot of an object, which may have been removed since, from the next frame on."""
        self._bank.put_back(snapshot)
        self._updates.drop(snapshot.object_id)

    def snapshot(self) -> TrackerSnapshot:
        """What is remembered after the last frame, for a tracker of the same model to go on from."""
        return self._masklets.snapshot()

    def restore(self, snapshot: TrackerSnapshot) -> None:
        """Go on from a snapshot: later frames come out as if there had been no break; `refine` waits for a frame.

        With an update interval every object is segmented on the next frame.
        Raises StateError where the snapshot is of another model or memory policy, or this tracker was given frames
        already.
        """
        self._masklets.restore(snapshot)

    def _prompted(self, object_id: int, prompt: Prompt) -> Decoded:
        """Segment one object from a prompt: without memory where it was not tracked onto this frame (vp 228)."""
        shown = self._shown.get(object_id)
        without_memory = shown is None or shown.without_memory
        pinned = without_memory or self._options.pin_corrections
        if isinstance(prompt, Mask):
            mask = resize_mask(prompt.mask, self._masklets.mask_side)
            decoded = self._masklets.from_masks([object_id], mask[None], pinned=pinned)
        else:
            earlier = None if shown is None else shown.low_res
            decoded = self._masklets.from_points(
                object_id, prompt, earlier=earlier, with_memory=not without_memory, pinned=pinned
            )
        # Holes of a mask that was given are filled as well (vp 766: of every output, however it came about).
        decoded.low_res = self._filled(decoded.low_res)
        return decoded

    def _remember(self, decoded: list[Decoded]) -> None:
        """Encode what was decoded into memory and take it for what is shown of each object."""
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
        """Show objects that are not segmented on this frame where they are expected to be."""
        time = self._masklets.time
        for object_id, seen in waiting.items():
            self._shown[object_id] = _Shown(seen.moved(time), seen.score, False, time - seen.time)

    def _filled(self, low_res: Tensor) -> Tensor:
        """Fill small holes of [objects, 1, h, w] logits."""
        area = self._options.fill_hole_area
        return fill_holes(low_res[:, 0], area)[:, None] if area else low_res

    def current(self) -> PendingResult:
        """The frame that was last given, as it is known now. Raises PromptError where there is none yet."""
        ids = [i for i in self._bank.object_ids if i in self._shown]
        shown = [self._shown[i] for i in ids]
        low_res = np.concatenate([each.low_res for each in shown]) if shown else np.zeros((0, 1, 1), np.float32)
        scores = np.array([each.score for each in shown], np.float32)
        stale = np.array([each.stale for each in shown], np.int64) if any(each.stale for each in shown) else None
        return PendingResult(self._masklets.frame, ids, low_res, scores, self._options.non_overlapping, stale)
