"""transformers' own video heuristics of SAM 3 on a script, as the reference of ours.

`Sam3VideoModel`'s code runs as it is: detection with NMS, association, hotstart, reconditioning, suppression, memory
masks, and the processor's output. Only its detector and tracker are played by a script. NMS and connected components
are supplied, since it skips both without the package `kernels`.

Where it differs from Meta's code, Meta's rule is put in; `deviates` switches single ones back to what transformers
does, so that a test can show that the rule matters and that we follow the right one.

- rows_of_removal: on the frame of a removal masks and scores belong to the tracks of the frame before (V 259, 1090);
  transformers pairs them with what is left, and gives masks to the wrong ids.
- tracked_mask_shown: a reconditioned track shows its own mask (V 1130: reconditioned_obj_ids stays empty unless boxes
  are compared); transformers shows the detection's.
- first_of_concept: a concept without tracks takes every detection for new (V 1258); transformers asks whether any
  concept has tracks.
- lone_empty: a track that is alone and empty is remembered as absent, too (sam3_tracking_predictor.py 1333).
"""

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import torch
import transformers.models.sam3_video.modeling_sam3_video as modeling
import transformers.models.sam3_video.processing_sam3_video as processing
from masklet.runtime.bundle.spec import Tensor
from scripted_concepts import HW, LOW, QUERIES, Script, Stages, logit
from transformers import Sam3VideoConfig, Sam3VideoModel

BOXES = torch.tensor([[[0.1, 0.2, 0.5, 0.6]]]).repeat(1, QUERIES, 1)


class MetaSam3Video(Sam3VideoModel):  # type: ignore[misc]
    """transformers' heuristics with Meta's rules, on scripted parts."""

    def __init__(self, script: Script, deviates: frozenset[str] = frozenset(), **constants: Any) -> None:
        torch.nn.Module.__init__(self)
        for name, value in Sam3VideoConfig(**constants).to_dict().items():
            if "config" not in name and isinstance(value, int | float | bool):
                setattr(self, name, value)
        self.low_res_mask_size = LOW
        self.script, self.deviates, self.stages = script, deviates, Stages(script)
        self.actors: dict[int, int] = {}
        self.remembered: list[dict[int, tuple[Tensor, float, bool]]] = []
        self.detector_model = _Detector(self)
        self.tracker_model = self._play_tracker
        self.time = -1
        self._tracks_before: list[int] = []

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def get_vision_features_for_tracker(self, vision_embeds: Any) -> Any:
        return [], []

    def _play_tracker(self, inference_session: Any, frame_idx: int, **_: Any) -> Any:
        masks, scores = [], []
        for row, object_id in enumerate(inference_session.obj_ids):
            logits, visible = self.script.tracked(frame_idx, self.actors[object_id])
            masks.append(torch.from_numpy(logits.copy())[None])
            scores.append([visible])
            inference_session.output_dict_per_obj[row]["non_cond_frame_outputs"][frame_idx] = {}
        return SimpleNamespace(pred_masks=torch.stack(masks), object_score_logits=torch.tensor(scores))

    def _tracker_add_new_objects(
        self, inference_session: Any, frame_idx: int, new_obj_ids: list[int], new_obj_masks: Any, **_: Any
    ) -> None:
        for object_id, mask in zip(new_obj_ids, new_obj_masks, strict=True):
            inference_session.obj_id_to_idx(object_id)
            self.actors[object_id] = self.script.actor_of(frame_idx, mask.numpy() > 0)

    def _det_track_one_frame(self, inference_session: Any, frame_idx: int, **kwargs: Any) -> Any:
        self.time = frame_idx
        self._tracks_before = list(inference_session.obj_ids)
        self.remembered.append({})
        masks, scores, metadata, visible = super()._det_track_one_frame(inference_session, frame_idx, **kwargs)
        if "rows_of_removal" not in self.deviates and len(self._tracks_before):
            shown = metadata["obj_id_to_tracker_score_frame_wise"][frame_idx]
            shown.update(dict(zip(self._tracks_before, visible, strict=True)))
        return masks, scores, metadata, visible

    def build_outputs(self, inference_session: Any, **kwargs: Any) -> Any:
        if "tracked_mask_shown" not in self.deviates:
            kwargs["reconditioned_obj_ids"] = None
        now = inference_session.obj_ids
        if "rows_of_removal" not in self.deviates:
            inference_session.obj_ids = self._tracks_before
        try:
            return super().build_outputs(inference_session=inference_session, **kwargs)
        finally:
            inference_session.obj_ids = now

    def _associate_det_trk(self, **given: Any) -> Any:
        if "first_of_concept" in self.deviates:
            return super()._associate_det_trk(**given)
        new: list[int] = []
        unmatched: list[int] = []
        empty: list[int] = []
        matched: dict[int, list[int]] = {}
        confirmed: dict[int, int] = {}
        concepts = {*given["det_prompt_ids"].tolist(), *given["trk_prompt_ids"].tolist()}
        for concept in sorted(concepts):
            dets = (given["det_prompt_ids"] == concept).nonzero()[:, 0]
            tracks = (given["trk_prompt_ids"] == concept).nonzero()[:, 0]
            found = super()._associate_det_trk(
                det_masks=given["det_masks"][dets],
                det_scores=given["det_scores"][dets],
                trk_masks=given["trk_masks"][tracks] if len(tracks) else torch.zeros(0, LOW, LOW),
                trk_obj_ids=[given["trk_obj_ids"][n] for n in tracks.tolist()],
                det_prompt_ids=given["det_prompt_ids"][dets],
                trk_prompt_ids=given["trk_prompt_ids"][tracks],
            )
            new += dets[found[0]].tolist()
            unmatched += found[1]
            matched |= {int(dets[n]): ids for n, ids in found[2].items()}
            confirmed |= {object_id: int(dets[n]) for object_id, n in found[3].items()}
            empty += found[4]
        return sorted(new), unmatched, matched, confirmed, empty

    def _suppress_object_pw_area_shrinkage_impl(self, pred_masks: Any) -> Any:
        if "lone_empty" not in self.deviates and pred_masks.size(0) == 1:
            return self._suppress_shrunk_masks(pred_masks, pred_masks)
        return super()._suppress_object_pw_area_shrinkage_impl(pred_masks)

    def run_memory_encoder(self, session: Any, frame: int, high_res_masks: Any, object_score_logits: Any) -> Any:
        for row, object_id in enumerate(session.obj_ids):
            pinned = frame in session.output_dict_per_obj[row]["cond_frame_outputs"]
            score = float(object_score_logits[row])
            self.remembered[-1][object_id] = high_res_masks[row, 0].numpy().copy(), score, pinned
        nothing = torch.zeros(1, len(session.obj_ids), 1)
        return nothing, nothing


class _Detector:
    """The script's detector as transformers' detector."""

    def __init__(self, model: MetaSam3Video) -> None:
        self._model = model

    def get_vision_features(self, pixel_values: Any) -> None:
        """The script needs none."""

    def get_text_features(self, input_ids: Any, **_: Any) -> int:
        return int(input_ids[0, 0])

    def __call__(self, text_embeds: int, **_: Any) -> Any:
        model = self._model
        phrase = model.script.phrases[text_embeds]
        found = model.script.found.get((model.time, phrase), [])
        presence = model.stages.presence(model.time, phrase)
        scores = np.full(QUERIES, 0.01)
        masks = np.full((QUERIES, LOW, LOW), -7, np.float32)
        for query, one in enumerate(found):
            scores[query], masks[query] = one.score, one.logits
        share = np.clip(scores / presence, 1e-6, 1 - 1e-6)
        return SimpleNamespace(
            pred_logits=torch.tensor(logit(share), dtype=torch.float32)[None],
            presence_logits=torch.from_numpy(logit(np.array([[presence]]))).float(),
            pred_boxes=BOXES,
            pred_masks=torch.from_numpy(masks)[None],
        )


class _Processor(processing.Sam3VideoProcessor):  # type: ignore[misc]
    def __init__(self) -> None:
        """Only `postprocess_outputs` is used, which needs neither tokenizer nor image processor."""


class ReferenceFrame:
    """What the reference shows on a frame: ids as ours (from 1), masks [N, H, W] bool, scores [N]."""

    def __init__(self, index: int, shown: dict[str, Any]) -> None:
        self.index = index
        self.ids = [i + 1 for i in shown["object_ids"].tolist()]
        self.masks: Tensor = shown["masks"].numpy()
        self.scores = shown["scores"].tolist()
        self.phrases = {i + 1: phrase for phrase, ids in shown["prompt_to_obj_ids"].items() for i in ids}


class Reference:
    """A script run by the reference. frames: what it shows; removed: ids; remembered: a frame each, see the model."""

    def __init__(self, script: Script, deviates: frozenset[str] = frozenset(), **constants: Any) -> None:
        model = MetaSam3Video(script, deviates, **constants).eval()
        session = modeling.Sam3VideoInferenceSession(
            video=torch.zeros(script.length, 1, 1, 1),
            video_height=HW[0],
            video_width=HW[1],
            dtype=torch.float32,
        )
        for number, phrase in enumerate(script.phrases):
            prompt = session.add_prompt(phrase)
            session.prompt_input_ids[prompt] = torch.tensor([[number]])
            session.prompt_attention_masks[prompt] = torch.ones(1, 1)
        session.obj_with_new_inputs = []
        processor = _Processor()
        nms, components = modeling.nms_masks, modeling._get_connected_components_with_padding
        modeling.nms_masks, modeling._get_connected_components_with_padding = _nms, _components
        processing.masks_to_boxes = lambda masks: torch.zeros(len(masks), 4)  # torchvision's, and not compared
        try:
            self.frames = [
                ReferenceFrame(out.frame_idx, processor.postprocess_outputs(session, out))
                for out in model.propagate_in_video_iterator(session)
            ]
        finally:
            modeling.nms_masks, modeling._get_connected_components_with_padding = nms, components
        self.removed = {i + 1 for i in session.removed_obj_ids}
        self.remembered = [{i + 1: kept for i, kept in frame.items()} for frame in model.remembered]


def _nms(pred_probs: Any, pred_masks: Any, prob_threshold: float, iou_threshold: float) -> Any:
    """Greedy suppression by mask IoU (Meta's perflib/nms.py)."""
    valid = pred_probs > prob_threshold
    where = torch.where(valid)[0]
    if not len(where):
        return valid
    masks = pred_masks[where] > 0
    ious = modeling.mask_iou(masks, masks).numpy()
    order = np.argsort(-pred_probs[where].numpy(), kind="stable")
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[ious[best, order] <= iou_threshold]
    out = torch.zeros_like(valid)
    out[where[kept]] = True
    return out


def _components(mask: Any) -> Any:
    """Labels, which nobody reads, and the area of each pixel's 8-connected component."""
    areas = np.zeros(mask.shape, np.int32)
    for n, one in enumerate(mask[:, 0].to(torch.uint8).numpy()):
        _, labels, stats, _ = cv2.connectedComponentsWithStats(one, connectivity=8)
        area = stats[:, cv2.CC_STAT_AREA].copy()
        area[0] = 0
        areas[n, 0] = area[labels]
    return None, torch.from_numpy(areas)
