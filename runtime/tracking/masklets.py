"""The stages of a video model on the current frame, and the memories of its objects: shared by all trackers.

A tracker decides what is prompted, shown and remembered. How a mask is made from a prompt or from memories, and encoded
into memory, is the same for all trackers and is defined here (sb, vp: see `VideoTracker`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import PromptError, StateError
from masklet.runtime.pixels.geometry import F32, U8, Resizer, resize_mask
from masklet.runtime.prompts.prompts import (
    PADDING,
    Box,
    Mask,
    Points,
    Prompt,
    check_object_id,
    check_prompt,
    encode_points,
)
from masklet.runtime.results import Frame, check_frame
from masklet.runtime.tracking.camera_motion import CameraMotion, CameraMove
from masklet.runtime.tracking.known_policies import Memory
from masklet.runtime.tracking.memory_bank import MemoryBank
from masklet.runtime.tracking.memory_detail import block_memory
from masklet.runtime.tracking.memory_limits import MemoryLimits
from masklet.runtime.tracking.memory_policy import Seen
from masklet.runtime.tracking.snapshot import TrackerSnapshot

LOGIT_LIMIT = 32.0  # earlier logits are clamped to this before they are used as a prompt (vp 254)
VISIBLE = 10.0  # score of an object that is certainly visible (sb 421)


@dataclass(slots=True)
class Decoded:
    """A batch of objects on one frame, between the decoder and the memory encoder.

    low_res: [objects, 1, h, w] logits.
    score:   [objects, 1], logit that the object is visible.
    pointer: [objects, channels], object pointers.
    seen:    for each object, the input of the memory policy.
    """

    object_ids: list[int]
    low_res: Tensor
    score: Tensor
    pointer: Tensor
    seen: list[Seen]
    prompted: bool
    pinned: bool


class Masklets:
    """The objects of one stream, from frame to frame. The memories in `bank` belong to this stream.

    sessions: may be shared with other streams.
    memory:   memory policy; None for the model's own.
    limits:   how much of its memories a frame attends to.
    """

    def __init__(self, sessions: Sessions, memory: Memory = None, limits: MemoryLimits | None = None) -> None:
        self.sessions, self.model = sessions, sessions.model
        limits = limits or MemoryLimits()
        self._blocks = block_memory(self.model, limits.detail)
        self.bank = MemoryBank(self.model, memory, limits, None if self._blocks is None else self._blocks.tokens)
        self.time = -1
        self._resize = Resizer(self.model.preprocess.hw)
        self._frame: Frame | None = None
        self._features: dict[str, Tensor] | None = None
        self._camera = CameraMotion() if self.bank.policy.follows_camera else None
        self._camera_move: CameraMove | None = None

    @property
    def frame(self) -> Frame:
        """The current frame. Raises PromptError if there is none yet."""
        if self._frame is None:
            raise PromptError("no frame was given yet; call step() first")
        return self._frame

    @property
    def features(self) -> dict[str, Tensor]:
        """Features of the current frame, computed on first use: a frame without objects costs nothing."""
        if self._features is None:
            image = self._resize(self.frame.image)[None]
            self._features = self.sessions.run("image_encoder", {"image": image})
        return self._features

    @property
    def mask_hw(self) -> tuple[int, int]:
        """Height and width of the masks for `from_masks`, in pixels."""
        mask = self.model.stage("mask_prompt_encoder").inputs[0]
        return int(mask.shape[-2]), int(mask.shape[-1])

    def check(self, object_id: int, prompt: Prompt, frame: Frame) -> None:
        """Raise MaskletError, before any change, for an id, a prompt or a frame that cannot be used.

        Examples: an id that is not a positive integer, something that is not a `Frame` or not a prompt, a prompt that
        does not fit the frame, a mask that is empty at the model's size.
        """
        check_object_id(object_id)
        check_frame(frame)
        check_prompt(prompt, frame.hw)
        height, width = self.mask_hw
        if isinstance(prompt, Mask) and not resize_mask(prompt.mask, (height, width)).any():
            raise PromptError(
                f"object {object_id}: its mask of {int(prompt.mask.sum())} pixels vanishes at the model's "
                f"{width} x {height}; give a larger one"
            )

    def check_all(self, prompts: Mapping[int, Prompt] | None, frame: Frame) -> dict[int, Prompt]:
        """Check all prompts of a frame. Raises MaskletError like `check`, or if `prompts` is not a mapping."""
        check_frame(frame)
        if prompts is not None and not isinstance(prompts, Mapping):
            raise PromptError(
                f"prompts: expected a mapping of object ids to prompts, such as {{1: Points.click(480, 270)}}, got "
                f"{type(prompts).__name__}"
            )
        for object_id, prompt in (prompts or {}).items():
            self.check(object_id, prompt, frame)
        return dict(prompts or {})

    def begin(self, frame: Frame) -> None:
        """Go to the next frame."""
        self.time += 1
        self._frame, self._features = frame, None
        self.bank.begin(self.time)
        if self._camera is not None:
            self._camera_move = self._camera.update(frame.image)

    def tracked(self, object_ids: Iterable[int], largest: int) -> list[Decoded]:
        """Track objects from their memories, at most `largest` per call."""
        return [self._tracked(ids) for ids in self.bank.batches(object_ids, largest)]

    def from_points(
        self, object_id: int, prompt: Points | Box, *, earlier: Tensor | None, with_memory: bool, pinned: bool
    ) -> Decoded:
        """Segment one object from clicks and a box. earlier: its logits [1, h, w] on this frame, or None."""
        embed = self._attend([object_id]) if with_memory else self.features["vision_feat"]
        coords, labels = encode_points(prompt, self.frame.hw, self.model.preprocess.hw)
        multimask = self.model.prompting.multimask(len(labels) - 1, first_prompt=not with_memory)
        out = self._decode(
            embed,
            coords[None],
            labels[None],
            previous=None if earlier is None else np.clip(earlier[None], -LOGIT_LIMIT, LOGIT_LIMIT),
            multimask=multimask,
            without_memory=not with_memory,
        )
        return self._decoded([object_id], out, multimask, prompted=True, pinned=pinned)

    def from_masks(self, object_ids: list[int], masks: U8, *, pinned: bool) -> Decoded:
        """Use given masks [objects, height, width] of `mask_hw`, 0 or 1, as the output.

        Only the pointers come from the decoder (sb 415-455).
        """
        count = len(object_ids)
        given = self.sessions.run("mask_prompt_encoder", {"mask": masks})
        out = self._decode(
            np.repeat(self.features["vision_feat"], count, axis=0),
            np.zeros((count, 2, 2), np.float32),
            np.full((count, 2), PADDING, np.int64),
            previous=given["mask_prompt"],
            multimask=False,
            without_memory=False,
        )
        sure = {"object_score": np.full((count, 1), VISIBLE, np.float32), "iou": np.ones((count, 1), np.float32)}
        return self._decoded(object_ids, {**out, **given, **sure}, False, prompted=True, pinned=pinned)

    def remember(self, decoded: Decoded, low_res: Tensor) -> None:
        """Encode masks [objects, 1, h, w], which may differ from the decoded ones, and store them with the pointers.

        Only frames which the memory policy keeps are encoded.
        """
        noted = zip(decoded.object_ids, decoded.seen, strict=True)
        rows = [n for n, (object_id, seen) in enumerate(noted) if self.bank.note(object_id, seen, decoded.pinned)]
        memories = dict(zip(rows, self._encoded(decoded, low_res, rows), strict=True)) if rows else {}
        for row, object_id in enumerate(decoded.object_ids):
            memory, blocks = memories.get(row), None
            if self._blocks is not None and memory is not None:
                memory, blocks = self._blocks(memory)
            self.bank.keep(object_id, memory, decoded.pointer[row], blocks)

    def _encoded(self, decoded: Decoded, low_res: Tensor, rows: list[int]) -> Tensor:
        """Memories [rows, tokens, channels] of some rows of a batch."""
        masks, score = low_res, decoded.score
        if len(rows) < len(low_res):
            masks, score = np.asarray(low_res)[rows], score[rows]
        return self.sessions.run(
            "memory_encoder",
            {
                "vision_feat": self.features["vision_feat"],
                "low_res_mask": masks,
                "object_score": score,
                "binarize": np.full(len(rows), decoded.prompted, np.float32),
            },
        )["new_memory"]

    def snapshot(self) -> TrackerSnapshot:
        """The state after the last frame, from which a tracker of the same model can continue."""
        snapshot = self.bank.snapshot()
        return snapshot if self._camera is None else replace(snapshot, camera=self._camera.before)

    def restore(self, snapshot: TrackerSnapshot) -> None:
        """Continue from a snapshot.

        Raises StateError if it is of another model or memory policy, or if frames were already given.
        """
        if self.time != -1:
            raise StateError("a state can only be restored before the first frame")
        self.bank.restore(snapshot)
        self.time = snapshot.time
        if self._camera is not None:
            self._camera = CameraMotion(snapshot.camera)

    def _tracked(self, object_ids: list[int]) -> Decoded:
        count, multimask = len(object_ids), self.model.prompting.multimask(0, first_prompt=False)
        out = self._decode(
            self._attend(object_ids),
            np.zeros((count, 2, 2), np.float32),
            np.full((count, 2), PADDING, np.int64),
            previous=None,
            multimask=multimask,
            without_memory=False,
        )
        decoded = self._decoded(object_ids, out, multimask, prompted=False, pinned=False)
        if self.bank.policy.chooses:
            self._choose(decoded, out)
        return decoded

    def _choose(self, decoded: Decoded, out: Mapping[str, Tensor]) -> None:
        """Replace the decoder's masks by those that the memory policy chooses, if it chooses any."""
        pairs = zip(decoded.object_ids, decoded.seen, strict=True)
        choices = [self.bank.choose(object_id, seen) for object_id, seen in pairs]
        if all(choice is None for choice in choices):
            return
        low_res, pointers = np.array(decoded.low_res), list(decoded.pointer)
        for row, choice in enumerate(choices):
            if choice is None:
                continue
            seen = decoded.seen[row]
            if choice.candidate is not None and seen.candidates is not None and seen.candidate_ious is not None:
                low_res[row, 0] = seen.candidates[choice.candidate]
                pointers[row] = out["candidate_pointers"][row][1 + choice.candidate]
                iou = float(seen.candidate_ious[choice.candidate])
                seen = replace(seen, iou=iou, effective_iou=iou * float(_surely_visible(seen.score)))
            if choice.mask is not None:
                low_res[row, 0] = choice.mask
            decoded.seen[row] = replace(seen, mask=low_res[row, 0])
        decoded.low_res, decoded.pointer = low_res, np.stack(pointers)

    def _attend(self, object_ids: list[int]) -> Tensor:
        feeds = {"vision_feat": self.features["vision_feat"], **self.bank.feeds(object_ids)}
        return self.sessions.run("memory_attention", feeds)["image_embed"]

    def _decode(
        self,
        embed: Tensor,
        coords: F32,
        labels: Tensor,
        *,
        previous: Tensor | None,
        multimask: bool,
        without_memory: bool,
    ) -> dict[str, Tensor]:
        """Run the mask decoder on a batch. previous: [objects, 1, h, w] logits or None."""
        count = len(labels)
        if previous is None:
            edges = next(t.shape[2:] for t in self.model.stage("mask_decoder").inputs if t.name == "mask_prompt")
            mask_prompt: Tensor = np.zeros((count, 1, *map(int, edges)), np.float32)
        else:
            mask_prompt = previous
        feeds = {
            **self.features,
            "image_embed": embed,
            "point_coords": coords,
            "point_labels": labels,
            "mask_prompt": mask_prompt,
            "has_mask": np.full(count, previous is not None, np.float32),
            "multimask": np.full(count, multimask, np.float32),
            "memoryless": np.full(count, without_memory, np.float32),
        }
        return self.sessions.run("mask_decoder", feeds)

    def _decoded(
        self, object_ids: list[int], out: Mapping[str, Tensor], multimask: bool, *, prompted: bool, pinned: bool
    ) -> Decoded:
        """The outputs of the decoder for a batch. multimask: whether it chose among several candidates."""
        low_res, score, iou = out["low_res_mask"], np.asarray(out["object_score"]), np.asarray(out["iou"])[:, 0]
        effective_iou = _surely_visible(score[:, 0]) * iou
        several = multimask and "candidate_masks" in out
        seen = [
            Seen(
                self.time,
                prompted,
                low_res[row, 0],
                float(score[row, 0]),
                float(iou[row]),
                float(effective_iou[row]),
                out["candidate_masks"][row, 1:] if several else None,
                out["candidate_ious"][row, 1:] if several else None,
                self._camera_move,
            )
            for row in range(len(object_ids))
        ]
        return Decoded(object_ids, low_res, score, out["pointer"], seen, prompted, pinned)


def _surely_visible(score: Any) -> Any:
    """Visibility 0..1 of an object with this visibility logit (cal_mem_score of SAM 3)."""
    return np.maximum(0, 2 / (1 + np.exp(-score)) - 1)
