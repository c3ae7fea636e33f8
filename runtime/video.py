"""VideoTracker: prompts on any frame become masklets, a frame at a time, without look-ahead (SAM 2's PVS task)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from masklet.runtime.bundle import Bundle
from masklet.runtime.errors import PromptError, StateError
from masklet.runtime.geometry import (
    Resizer,
    boxes_xyxy,
    fill_holes,
    masks_to_source,
    non_overlapping,
    resize_mask,
)
from masklet.runtime.memory import MemoryBank
from masklet.runtime.prompts import PADDING, Mask, Prompt, check_prompt, encode_points
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.session import Sessions
from masklet.runtime.snapshot import TrackerSnapshot
from masklet.runtime.spec import Tensor

LOGIT_LIMIT = 32.0  # earlier logits are clamped to this before they prompt again (vp 254)


@dataclass(frozen=True, slots=True)
class TrackerOptions:
    """What a user may choose about tracking; the defaults are Meta's.

    fill_hole_area:        holes of at most so many low-resolution pixels are filled (build_sam.py 123).
    non_overlapping:       where masks overlap in the output, the higher logit keeps the pixel (vp 401).
    non_overlapping_memory: the same before masks are encoded into memory (sb 692).
    pin_corrections:       a corrected frame counts as prompted from then on, as in SAM 2.1's training
                           (add_all_frames_to_correct_as_cond); otherwise as a recent one.
    forget_around_prompts: recent memories near a newly prompted frame are let go (vp 956).
    batch:                 objects that share one call of a stage; bounds the memory of the calls.
    """

    fill_hole_area: int = 8
    non_overlapping: bool = False
    non_overlapping_memory: bool = False
    pin_corrections: bool = True
    forget_around_prompts: bool = False
    batch: int = 8


@dataclass(slots=True)
class _Decoded:
    """A batch of objects on one frame, between the decoder and the memory encoder.

    low_res: [objects, 1, h, w] logits; score: [objects, 1] logit of being visible; pointer: [objects, channels].
    """

    object_ids: list[int]
    low_res: Tensor
    score: Tensor
    pointer: Tensor
    prompted: bool
    pinned: bool


@dataclass(frozen=True, slots=True)
class _Shown:
    """What is known of an object on the current frame."""

    low_res: Tensor  # [1, h, w] logits, holes filled
    score: float  # probability of being visible
    without_memory: bool  # it was prompted before it was tracked here


@dataclass(frozen=True, slots=True, eq=False)
class PendingResult:
    """A frame's result before its masks have the frame's size. `result` takes no session: another thread may call it.

    low_res: [objects, h, w] logits, holes filled; scores: [objects] float32.
    """

    frame: Frame
    object_ids: list[int]
    low_res: Tensor
    scores: Tensor
    non_overlapping: bool

    def result(self) -> FrameResult:
        """Bring the masks to the frame's size."""
        if self.object_ids:
            masks = masks_to_source(self.low_res, self.frame.hw, non_overlapping=self.non_overlapping)
        else:
            masks = np.zeros((0, *self.frame.hw), bool)
        ids = np.array(self.object_ids, np.int64)
        return FrameResult(self.frame.index, self.frame.time_s, ids, masks, boxes_xyxy(masks), self.scores)


class VideoTracker:
    """Tracks prompted objects through a stream of frames.

    Frames are given in the order of time, each once, forwards or backwards. Objects join by a prompt on any frame
    and leave by `remove`; neither disturbs the others. What is held does not grow with the stream.

        tracker = VideoTracker(Bundle.load("sam2.1-tiny.bundle"))
        for frame in open_source("clip.mp4"):
            result = tracker.step(frame, {1: Points.click(480, 270)} if frame.index == 0 else {})

    sessions: a bundle, opened on ONNX Runtime's CPU provider, or sessions that are open already (and then shared).
    """

    def __init__(self, sessions: Bundle | Sessions, options: TrackerOptions | None = None) -> None:
        self._sessions = sessions if isinstance(sessions, Sessions) else Sessions.open(sessions)
        self._model = self._sessions.model
        self._options = options or TrackerOptions()
        self._bank = MemoryBank(self._model)
        self._resize = Resizer(self._model.preprocess.side)
        self._time = -1
        self._frame: Frame | None = None
        self._features: dict[str, Tensor] | None = None
        self._shown: dict[int, _Shown] = {}

    @property
    def object_ids(self) -> list[int]:
        """The tracked objects, in the order in which they joined."""
        return self._bank.object_ids

    def step(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None) -> FrameResult:
        """Track every object onto the next frame.

        prompts: object id -> prompt in this frame's pixels. A prompted object is segmented from its prompt alone,
                 as on its first frame; to correct what was tracked, call `refine` after this.
        Raises PromptError, before anything has changed, where a prompt does not fit the frame.
        """
        return self.advance(frame, prompts).result()

    def advance(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None) -> PendingResult:
        """As `step`, without bringing the masks to the frame's size yet, for a thread beside this one to do so."""
        prompts = dict(prompts or {})
        for object_id, prompt in prompts.items():
            self._check(object_id, prompt, frame)
        self._time += 1
        self._frame, self._features = frame, None
        self._shown.clear()
        tracked = [i for i in self._bank.object_ids if i not in prompts]
        decoded = [self._prompted(i, prompt) for i, prompt in prompts.items()]
        decoded += [self._tracked(ids) for ids in self._bank.batches(tracked, self._time, self._options.batch)]
        self._remember(decoded)
        return self._pending()

    def refine(self, object_id: int, prompt: Prompt) -> FrameResult:
        """Prompt an object on the frame that was last given, after seeing its result.

        A known object is corrected: the decoder sees its memory and its present logits beside the new prompt (vp
        249-262), and the frame's memory is encoded anew. As in Meta's predictor the clicks given here stand alone: give
        earlier ones of the frame again where they still hold. An unknown object joins. Returns the frame's result,
        renewed.
        Raises PromptError where there is no frame yet or the prompt does not fit it.
        """
        self._check(object_id, prompt, self._given())
        self._remember([self._prompted(object_id, prompt)])
        return self._pending().result()

    def remove(self, object_id: int) -> None:
        """Stop tracking an object. Raises PromptError where there is none of that id."""
        self._bank.forget(object_id)
        self._shown.pop(object_id, None)

    def snapshot(self) -> TrackerSnapshot:
        """What is remembered after the last frame, for a tracker of the same model to go on from."""
        return TrackerSnapshot(self._time, self._bank.snapshot())

    def restore(self, snapshot: TrackerSnapshot) -> None:
        """Go on from a snapshot: later frames come out as if there had been no break; `refine` waits for a frame.

        Raises StateError where the snapshot is of another model, or this tracker was given frames already.
        """
        if self._time != -1:
            raise StateError("a state can only be restored before the first frame")
        self._bank.restore(snapshot.objects)
        self._time = snapshot.time

    def _check(self, object_id: int, prompt: Prompt, frame: Frame) -> None:
        check_prompt(prompt, frame.hw)
        side = self._model.preprocess.side
        if isinstance(prompt, Mask) and not resize_mask(prompt.mask, side).any():
            raise PromptError(
                f"object {object_id}: its mask of {int(prompt.mask.sum())} pixels vanishes at the model's "
                f"{side} x {side}; give a larger one"
            )

    def _current(self) -> dict[str, Tensor]:
        """Features of the current frame, computed when first asked for: a frame without objects costs nothing."""
        if self._features is None:
            image = self._resize(self._given().image)[None]
            self._features = self._sessions.run("image_encoder", {"image": image})
        return self._features

    def _prompted(self, object_id: int, prompt: Prompt) -> _Decoded:
        """Segment one object from a prompt: without memory where it was not tracked onto this frame (vp 228)."""
        shown = self._shown.get(object_id)
        pinned = shown is None or shown.without_memory or self._options.pin_corrections
        if isinstance(prompt, Mask):
            return self._from_mask(object_id, prompt, pinned)
        without_memory = shown is None or shown.without_memory
        embed = self._current()["vision_feat"] if without_memory else self._attend([object_id])
        coords, labels = encode_points(prompt, self._given().hw, self._model.preprocess.side)
        out = self._decode(
            embed,
            coords[None],
            labels[None],
            previous=None if shown is None else np.clip(shown.low_res[None], -LOGIT_LIMIT, LOGIT_LIMIT),
            multimask=self._model.prompting.multimask(len(labels) - 1, first_prompt=without_memory),
            without_memory=without_memory,
        )
        low_res = self._filled(out["low_res_mask"])
        return _Decoded([object_id], low_res, out["object_score"], out["pointer"], True, pinned)

    def _from_mask(self, object_id: int, prompt: Mask, pinned: bool) -> _Decoded:
        """Take a given mask for the output; only the pointer comes from the decoder (sb 415-455)."""
        mask = resize_mask(prompt.mask, self._model.preprocess.side)
        given = self._sessions.run("mask_prompt_encoder", {"mask": mask[None]})
        nothing = np.full((1, 2), PADDING, np.int64)
        out = self._decode(
            self._current()["vision_feat"],
            np.zeros((1, 2, 2), np.float32),
            nothing,
            previous=given["mask_prompt"],
            multimask=False,
            without_memory=False,
        )
        visible = np.full((1, 1), 10.0, np.float32)
        return _Decoded([object_id], given["low_res_mask"], visible, out["pointer"], True, pinned)

    def _tracked(self, object_ids: list[int]) -> _Decoded:
        """Follow a batch of objects from their memories."""
        count = len(object_ids)
        out = self._decode(
            self._attend(object_ids),
            np.zeros((count, 2, 2), np.float32),
            np.full((count, 2), PADDING, np.int64),
            previous=None,
            multimask=self._model.prompting.multimask(0, first_prompt=False),
            without_memory=False,
        )
        return _Decoded(object_ids, out["low_res_mask"], out["object_score"], out["pointer"], False, False)

    def _attend(self, object_ids: list[int]) -> Tensor:
        feeds = {"vision_feat": self._current()["vision_feat"], **self._bank.feeds(object_ids, self._time)}
        return self._sessions.run("memory_attention", feeds)["image_embed"]

    def _decode(
        self,
        embed: Tensor,
        coords: Tensor,
        labels: Tensor,
        *,
        previous: Tensor | None,
        multimask: bool,
        without_memory: bool,
    ) -> dict[str, Tensor]:
        """Run the mask decoder on a batch. previous: [objects, 1, h, w] logits or None."""
        count = len(labels)
        features = self._current()
        if previous is None:
            low_side = features["feat_s0"].shape[-2:]
            mask_prompt: Tensor = np.zeros((count, 1, *low_side), np.float32)
        else:
            mask_prompt = previous
        feeds = {
            "image_embed": embed,
            "feat_s0": features["feat_s0"],
            "feat_s1": features["feat_s1"],
            "point_coords": coords,
            "point_labels": labels,
            "mask_prompt": mask_prompt,
            "has_mask": np.full(count, previous is not None, np.float32),
            "multimask": np.full(count, multimask, np.float32),
            "memoryless": np.full(count, without_memory, np.float32),
        }
        return self._sessions.run("mask_decoder", feeds)

    def _remember(self, decoded: list[_Decoded]) -> None:
        """Encode what was decoded into memory and take it for what is shown of each object."""
        masks = [d.low_res for d in decoded]
        if self._options.non_overlapping_memory and masks:
            apart = non_overlapping(np.concatenate(masks)[:, 0])[:, None]
            masks = np.split(apart, np.cumsum([len(m) for m in masks])[:-1])
        for part, mask in zip(decoded, masks, strict=True):
            memory = self._sessions.run(
                "memory_encoder",
                {
                    "vision_feat": self._current()["vision_feat"],
                    "low_res_mask": mask,
                    "object_score": part.score,
                    "binarize": np.full(len(mask), part.prompted, np.float32),
                },
            )["new_memory"]
            low_res = part.low_res if part.prompted else self._filled(part.low_res)
            visible = 1.0 / (1.0 + np.exp(-part.score[:, 0].astype(np.float64)))
            for row, object_id in enumerate(part.object_ids):
                if part.prompted and self._options.forget_around_prompts and object_id in self._bank.object_ids:
                    self._bank.forget_recent(object_id, self._time)
                self._bank.keep(object_id, self._time, part.pinned, memory[row], part.pointer[row])
                before = self._shown.get(object_id)
                alone = part.prompted and (before is None or before.without_memory)
                self._shown[object_id] = _Shown(low_res[row], float(visible[row]), alone)

    def _filled(self, low_res: Tensor) -> Tensor:
        """Fill small holes of [objects, 1, h, w] logits."""
        area = self._options.fill_hole_area
        return fill_holes(low_res[:, 0], area)[:, None] if area else low_res

    def _pending(self) -> PendingResult:
        ids = [i for i in self._bank.object_ids if i in self._shown]
        shown = [self._shown[i] for i in ids]
        low_res = np.concatenate([each.low_res for each in shown]) if shown else np.zeros((0, 1, 1), np.float32)
        scores = np.array([each.score for each in shown], np.float32)
        return PendingResult(self._given(), ids, low_res, scores, self._options.non_overlapping)

    def _given(self) -> Frame:
        if self._frame is None:
            raise PromptError("no frame was given yet; call step() first")
        return self._frame
