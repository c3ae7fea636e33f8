"""transformers' own video loop as the reference of ours, with Meta's rule put in where the two differ.

Each difference is one switch; all on is Meta's behaviour, which is ours. `deviates` switches single ones back to
what transformers does, so that a test can show that the rule matters and that we follow the right one.

- single_mask_pointer: the pointer of a mask prompt comes from the decoder's single mask (sam2_base.py 437), not from
  its best of three.
- earlier_logits: a correction sees the present logits, clamped to 32 (sam2_video_predictor.py 249-262).
- own_binarisation: a mask is binarised for memory where that object was prompted (sam2_base.py 703), not where any
  object of the frame was.
- memory_selection: SAM 3 attends to frames whose effective IoU is above a threshold, however long ago they were
  (sam3_tracker_base.py 517-553 and 602-725); transformers to the last ones. Meta's SAM 2 has no such rule.
- memory_from_low_res: what is encoded of a prompted frame is its low-resolution mask, enlarged (vp 497). In SAM 3
  masks are enlarged to 16 a cell at once, on every frame, not by way of the image's size (sam3_video_base.py 1451).
- mask_at_16_a_cell: a mask that is given has 16 pixels a cell, not the image's size (sam3_tracking_predictor.py 362);
  for SAM 2 these are the same.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from masklet.export.references.sam2_reference import on_square
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.pixels.geometry import resize_mask
from masklet.runtime.prompts.prompts import Mask, Prompt, encode_points
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.tracking.video_tracker import VideoTracker
from transformers import Sam2VideoModel, Sam3TrackerVideoModel
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession
from transformers.models.sam3_tracker_video.modeling_sam3_tracker_video import Sam3TrackerVideoInferenceSession
from two_discs import iou


class MetaRules:
    """What is put into transformers' model."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    session: Any
    stock: Any
    prompt_encoder: Any
    image_size: int
    deviates: frozenset[str] = frozenset()
    _as_mask = False

    def _use_mask_as_output(self, *args: Any, **kwargs: Any) -> Any:
        self._as_mask, side = "single_mask_pointer" not in self.deviates, self.image_size
        self.image_size = self._given_mask_side()
        try:
            return super()._use_mask_as_output(*args, **kwargs)  # type: ignore[misc]
        finally:
            self._as_mask, self.image_size = False, side

    def _single_frame_forward(self, *args: Any, **kwargs: Any) -> Any:
        if self._as_mask:
            kwargs["multimask_output"] = False
        return super()._single_frame_forward(*args, **kwargs)  # type: ignore[misc]

    def _run_single_frame_inference(self, **kwargs: Any) -> Any:
        session, index, frame = kwargs["inference_session"], kwargs["obj_idx"], kwargs["frame_idx"]
        earlier = session.output_dict_per_obj[index]
        out = earlier["cond_frame_outputs"].get(frame) or earlier["non_cond_frame_outputs"].get(frame)
        if out and kwargs["point_inputs"] is not None and "earlier_logits" not in self.deviates:
            kwargs["prev_sam_mask_logits"] = out["pred_masks"].clamp(-32, 32)
        return super()._run_single_frame_inference(**kwargs)  # type: ignore[misc]

    def _batch_encode_memories(self, **kwargs: Any) -> None:
        lists = ("objects_needing_memory_encoding", "high_res_masks_for_memory", "object_score_logits_for_memory")
        if "own_binarisation" in self.deviates:
            super()._batch_encode_memories(**kwargs)  # type: ignore[misc]
            return
        prompted = kwargs["is_mask_from_pts_per_obj"]
        for row in range(len(prompted)):
            one = {name: kwargs[name][row : row + 1] for name in lists}
            if "memory_from_low_res" not in self.deviates:
                one["high_res_masks_for_memory"] = [self._enlarged(kwargs, row)]
            one["is_mask_from_pts_per_obj"] = prompted[row : row + 1]
            super()._batch_encode_memories(**{**kwargs, **one})  # type: ignore[misc]

    def _enlarged(self, kwargs: dict[str, Any], row: int) -> torch.Tensor:
        outputs = kwargs["inference_session"].output_dict_per_obj[kwargs["objects_needing_memory_encoding"][row]]
        frame = kwargs["frame_idx"]
        out = outputs["cond_frame_outputs"].get(frame) or outputs["non_cond_frame_outputs"][frame]
        size = tuple(4 * int(edge) for edge in self.prompt_encoder.mask_input_size)
        return F.interpolate(out["pred_masks"], size=size, mode="bilinear", align_corners=False)

    def _given_mask_side(self) -> int:
        """Of square frames."""
        as_image = "mask_at_16_a_cell" in self.deviates
        return self.image_size if as_image else 4 * int(self.prompt_encoder.mask_input_size[0])


class MetaSam2Video(MetaRules, Sam2VideoModel):  # type: ignore[misc]
    """SAM 2 with Meta's rules."""

    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    session, stock = Sam2VideoInferenceSession, Sam2VideoModel


class MetaSam3Tracker(MetaRules, Sam3TrackerVideoModel):  # type: ignore[misc]
    """SAM 3's tracker with Meta's rules."""

    mean = std = (0.5, 0.5, 0.5)
    session, stock = Sam3TrackerVideoInferenceSession, Sam3TrackerVideoModel
    mf_threshold = 0.01
    _ious: torch.Tensor

    def _single_frame_forward(self, *args: Any, **kwargs: Any) -> Any:
        out = super()._single_frame_forward(*args, **kwargs)
        self._ious = out.iou_scores
        return out

    def _run_single_frame_inference(self, **kwargs: Any) -> Any:
        out = super()._run_single_frame_inference(**kwargs)
        out["eff_iou_score"] = self.cal_mem_score(out["object_score_logits"], self._ious.max(-1)[0])
        return out

    def cal_mem_score(self, object_score_logits: torch.Tensor, iou_score: torch.Tensor) -> torch.Tensor:
        object_score_norm = torch.where(
            object_score_logits > 0, object_score_logits.sigmoid() * 2 - 1, torch.zeros_like(object_score_logits)
        )
        return (object_score_norm * iou_score).mean()

    def frame_filter(self, non_cond_frame_outputs: dict[int, Any], frame_idx: int) -> list[int]:
        max_num = self.config.max_object_pointers_in_encoder
        valid_indices: list[int] = []
        for i in range(frame_idx - 1, 0, -1):
            if i not in non_cond_frame_outputs:
                continue
            if non_cond_frame_outputs[i]["eff_iou_score"] > self.mf_threshold:
                valid_indices.insert(0, i)
            if len(valid_indices) >= max_num - 1:
                break
        if frame_idx - 1 not in valid_indices:
            valid_indices.append(frame_idx - 1)
        return valid_indices

    def _gather_memory_frame_outputs(self, session: Any, index: int, frame_idx: int, reverse: bool = False) -> Any:
        gathered = super()._gather_memory_frame_outputs(session, index, frame_idx, reverse)
        if "memory_selection" in self.deviates:
            return gathered
        non_cond = session.output_dict_per_obj[index]["non_cond_frame_outputs"]
        valid_indices = self.frame_filter(non_cond, frame_idx)
        selected = [(offset, out) for offset, out in gathered if offset == 0]
        for t_rel in range(self.num_maskmem - 1, 0, -1):
            if t_rel <= len(valid_indices):
                selected.append((t_rel, non_cond.get(valid_indices[-t_rel])))
        return selected

    def _get_object_pointers(self, session: Any, index: int, frame_idx: int, *args: Any, **kwargs: Any) -> Any:
        offsets, pointers, most = super()._get_object_pointers(session, index, frame_idx, *args, **kwargs)
        if "memory_selection" in self.deviates:
            return offsets, pointers, most
        outputs = session.output_dict_per_obj[index]
        prompted = len(outputs["cond_frame_outputs"])  # fewer than are let go of; they come first
        offsets, pointers = offsets[:prompted], pointers[:prompted]
        valid_indices = self.frame_filter(outputs["non_cond_frame_outputs"], frame_idx)
        for t_diff in range(1, most):
            if -t_diff <= -len(valid_indices):
                break
            out = outputs["non_cond_frame_outputs"].get(valid_indices[-t_diff])
            if out is not None:
                offsets.append(t_diff)
                pointers.append(out["object_pointer"])
        return offsets, pointers, most


class ReferenceTracker:
    """The reference behind our tracker's interface: step, then refine. Frames have the model's own size."""

    def __init__(
        self,
        checkpoint: str | Sam2VideoModel,
        deviates: frozenset[str] = frozenset(),
        architecture: type[MetaRules] = MetaSam2Video,
        **constants: float,
    ) -> None:
        """checkpoint: or a model that was loaded from one. constants: of the architecture, by name."""
        loaded = architecture.stock.from_pretrained(checkpoint) if isinstance(checkpoint, str) else checkpoint
        self._model: Any = loaded.eval()
        self._model.__class__ = architecture  # not loaded as one: names of weights are mapped by the class
        vars(self._model).update(constants, deviates=deviates)
        self._session = architecture.session(dtype=torch.float32)
        self._time = -1
        self._pixels = torch.zeros(0)

    def step(self, image: Tensor, prompts: dict[int, Prompt]) -> dict[int, Tensor]:
        """Track onto a frame [H, W, 3] uint8 RGB; returns object id -> low-resolution logits [h, w]."""
        self._time += 1
        mean, std = torch.tensor(self._model.mean), torch.tensor(self._model.std)
        self._pixels = ((torch.from_numpy(image) / 255.0 - mean) / std).permute(2, 0, 1)[None]
        return self._run(prompts, image.shape[:2])

    def refine(self, object_id: int, prompt: Prompt) -> dict[int, Tensor]:
        """Correct an object on the frame that was given last."""
        return self._run({object_id: prompt}, self._pixels.shape[-2:])

    def _run(self, prompts: dict[int, Prompt], hw: Any) -> dict[int, Tensor]:
        for object_id, prompt in prompts.items():
            index = self._session.obj_id_to_idx(object_id)
            if isinstance(prompt, Mask):
                self._session.remove_point_inputs(index, self._time)
                mask = resize_mask(prompt.mask, self._model._given_mask_side()).astype(bool)
                self._session.add_mask_inputs(index, self._time, torch.from_numpy(mask)[None, None])
            else:
                self._session.remove_mask_inputs(index, self._time)
                self._session.add_point_inputs(index, self._time, _points(self._model, prompt, hw))
            self._session.obj_with_new_inputs.append(object_id)
        with torch.no_grad():
            out = self._model(self._session, frame=self._pixels, frame_idx=self._time)
        return {i: mask[0].numpy() for i, mask in zip(out.object_ids, out.pred_masks, strict=True)}


def _points(model: Any, prompt: Any, hw: tuple[int, int]) -> dict[str, torch.Tensor]:
    coords, labels = encode_points(prompt, hw, hw)
    coords, labels = coords[:-1], labels[:-1]  # the reference adds the padding point itself
    return {
        "point_coords": on_square(model, torch.from_numpy(coords))[None, None],
        "point_labels": torch.from_numpy(labels.astype(np.int32))[None, None],
    }


def agreement(
    ours: VideoTracker,
    theirs: ReferenceTracker,
    frames: Iterable[Frame],
    given: Mapping[int, Mapping[int, Prompt]],
    corrected: Mapping[int, tuple[int, Prompt]],
) -> list[float]:
    """Mask IoU of every object on every frame, and after every correction.

    given: prompts of objects by frame; corrected: the object and its correction by frame.
    """
    ious: list[float] = []

    def note(result: FrameResult, logits: dict[int, Tensor]) -> None:
        assert result.object_ids.tolist() == list(logits)
        for mask, low_res in zip(result.masks, logits.values(), strict=True):
            full = cv2.resize(low_res, mask.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0
            ious.append(iou(mask, full))

    for frame in frames:
        prompts = dict(given.get(frame.index, {}))
        note(ours.step(frame, prompts), theirs.step(frame.image, prompts))
        if frame.index in corrected:
            object_id, prompt = corrected[frame.index]
            note(ours.refine(object_id, prompt), theirs.refine(object_id, prompt))
    return ious
