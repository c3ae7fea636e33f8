"""Meta's SAM2VideoPredictor frame by frame, behind the interface of our tracker."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from masklet.runtime.pixels.geometry import BoolArray
from masklet.runtime.prompts.prompts import Box, Mask, Prompt
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker
from meta_sam2 import meta_predictor
from numpy.typing import NDArray
from scipy import ndimage
from two_discs import iou
from video_scripts import Script

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
TIE = 1e-3  # of logits: ten times what the order of sums makes of them


@dataclass(frozen=True)
class Setting:
    """The same settings of both: options of ours, and of Meta's constructor."""

    name: str
    options: TrackerOptions
    theirs: dict[str, Any]

    def predictor(self, model: Any) -> Any:
        """Meta's predictor with the weights of a Sam2VideoModel."""
        predictor = meta_predictor(model, **self.theirs)
        # sam2_video_predictor.py 526 and 599 call a method of this name that the file does not have.
        predictor._clear_obj_non_cond_mem_around_input = partial(_clear_around, predictor.num_maskmem)
        return predictor


SETTINGS = (
    Setting(
        "as published",
        TrackerOptions(pin_corrections=False),
        {"fill_hole_area": 8},
    ),
    Setting(
        "holes stay, corrections are kept as prompts",
        TrackerOptions(fill_hole_area=0),
        {"add_all_frames_to_correct_as_cond": True},
    ),
    Setting(
        "large holes filled, masks apart, memories around prompts dropped",
        TrackerOptions(fill_hole_area=64, non_overlapping=True, forget_around_prompts=True),
        {
            "fill_hole_area": 64,
            "non_overlap_masks": True,
            "add_all_frames_to_correct_as_cond": True,
            "clear_non_cond_mem_around_input": True,
        },
    ),
)


def _clear_around(frames: int, state: Any, frame: int, index: int) -> None:
    """What sam2_video_predictor.py 956 does for all objects, for one of them."""
    recent = state["output_dict_per_obj"][index]["non_cond_frame_outputs"]
    for time in range(frame - frames, frame + frames + 1):
        recent.pop(time, None)


def connected_components(masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels of 8-connected components of masks [N, 1, H, W], and the area of each pixel's own.

    What Meta's CUDA kernel gives (sam2/csrc/connected_components.cu); without it their predictor fills no holes.
    """
    labels = [ndimage.label(mask[0].numpy(), np.ones((3, 3)))[0] for mask in masks]
    areas = [np.where(each > 0, np.bincount(each.ravel())[each], 0) for each in labels]
    return tuple(torch.from_numpy(np.stack(each)[:, None]) for each in (labels, areas))  # type: ignore[return-value]


class MetaTracker:
    """A video that is tracked as a stream: a frame at a time, with the prompts of that frame.

    tied: pixels [S, S] of the last result where two objects' logits are the highest and within 1e-3 of each other, so
    that in non-overlapping masks rounding alone says whose they are.

    predictor: a SAM2VideoPredictor. frames: [T, S, S, 3] uint8 RGB of the model's own size, so that no resizing plays
    a part; all of them, since Meta's predictor wants to know the number of frames.
    """

    def __init__(self, predictor: Any, frames: NDArray[np.uint8], *, reverse: bool = False) -> None:
        self._predictor, self._reverse = predictor, reverse
        pixels = ((torch.from_numpy(frames) / 255.0 - MEAN) / STD).permute(0, 3, 1, 2).contiguous()
        self._state = _init_state(predictor, pixels)
        self._time = -1
        self.tied = np.zeros(frames.shape[1:3], bool)
        predictor._apply_non_overlapping_constraints = self._apart

    @property
    def object_ids(self) -> list[int]:
        return list(self._state["obj_ids"])

    def step(self, time: int, prompts: Mapping[int, Prompt]) -> dict[int, BoolArray]:
        """Track onto a frame; prompted objects are segmented from their prompts alone. Masks by object id."""
        self._time = time
        for object_id, prompt in prompts.items():
            self._prompt(object_id, prompt)
        if not self.object_ids:
            return {}
        # "skip reverse tracking if starting from frame 0" (sam2_video_predictor.py 577): go back from 1 once more.
        start, more = (1, 1) if self._reverse and time == 0 else (time, 0)
        shown = {}
        for frame, ids, masks in self._predictor.propagate_in_video(self._state, start, more, self._reverse):
            if frame == time:
                shown = _masks(ids, masks)
        return shown

    def refine(self, object_id: int, prompt: Prompt) -> dict[int, BoolArray]:
        """Correct an object on the frame that was tracked last."""
        return self._prompt(object_id, prompt)

    def remove(self, object_id: int) -> None:
        self._predictor.remove_object(self._state, object_id, strict=True, need_output=False)

    def _apart(self, logits: torch.Tensor) -> torch.Tensor:
        """Meta's rule for masks that overlap [objects, 1, S, S], noting where it is decided by rounding."""
        if len(logits) > 1:
            first, second = logits.topk(2, dim=0).values[:, 0]
            self.tied = ((first - second < TIE) & (first > 0)).numpy()
        apart: torch.Tensor = type(self._predictor)._apply_non_overlapping_constraints(self._predictor, logits)
        return apart

    def _prompt(self, object_id: int, prompt: Prompt) -> dict[int, BoolArray]:
        if isinstance(prompt, Mask):
            _, ids, masks = self._predictor.add_new_mask(self._state, self._time, object_id, prompt.mask.copy())
            return _masks(ids, masks)
        box = [prompt.x0, prompt.y0, prompt.x1, prompt.y1] if isinstance(prompt, Box) else None
        points = prompt.points if isinstance(prompt, Box) else prompt
        _, ids, masks = self._predictor.add_new_points_or_box(
            self._state,
            self._time,
            object_id,
            points=None if points is None else points.xy.copy(),
            labels=None if points is None else points.labels.astype(np.int32),
            box=box,
        )
        return _masks(ids, masks)


class Compared(NamedTuple):
    """One mask of two trackers. moment: "tracked", "prompted" or "corrected"; tied: pixels left out (MetaTracker)."""

    time: int
    object_id: int
    moment: str
    iou: float
    tied: int


def play(script: Script, ours: VideoTracker, theirs: MetaTracker) -> list[Compared]:
    """Play a script on both trackers and compare every mask of every frame, and after every correction.

    Raises AssertionError where they do not show the same objects.
    """
    compared: list[Compared] = []

    def note(time: int, moments: Mapping[int, str], result: FrameResult, wanted: dict[int, BoolArray]) -> None:
        assert sorted(result.object_ids.tolist()) == sorted(wanted)
        for object_id, mask in zip(result.object_ids.tolist(), result.masks, strict=True):
            moment = moments.get(object_id, "tracked")
            decided, other = ~theirs.tied, wanted[object_id]
            tied = int((theirs.tied & (mask | other)).sum())
            compared.append(Compared(time, object_id, moment, iou(mask & decided, other & decided), tied))

    for time, index in script.order():
        if time in script.removals:
            ours.remove(script.removals[time])
            theirs.remove(script.removals[time])
        prompts = script.prompts.get(time, {})
        frame = Frame(index, index / 30, script.frames[index])
        note(time, dict.fromkeys(prompts, "prompted"), ours.step(frame, prompts), theirs.step(index, prompts))
        if time in script.corrections:
            object_id, prompt = script.corrections[time]
            note(time, {object_id: "corrected"}, ours.refine(object_id, prompt), theirs.refine(object_id, prompt))
    return compared


def _masks(ids: list[int], logits: torch.Tensor) -> dict[int, BoolArray]:
    return {object_id: (mask[0] > 0).numpy() for object_id, mask in zip(ids, logits, strict=True)}


def _init_state(predictor: Any, pixels: torch.Tensor) -> Any:
    """Meta's state of a video whose frames are in memory already."""
    module = inspect.unwrap(type(predictor).init_state).__globals__
    module["fill_holes_in_mask_scores"].__globals__["get_connected_components"] = connected_components
    module["tqdm"] = lambda frames, **_: frames
    loader = module["load_video_frames"]
    module["load_video_frames"] = lambda **_: (pixels, *pixels.shape[-2:])
    try:
        return predictor.init_state("frames")
    finally:
        module["load_video_frames"] = loader
