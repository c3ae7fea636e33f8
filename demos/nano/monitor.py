"""A look at the averaged weights during training, on scenes of its own: neither trained on nor held out."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from clicks import centre_click
from numpy.typing import NDArray
from scenes import HELD_OUT_SEED, Clip, render
from state import Run
from view import ABSENT_LOGIT, Features, Remembered, View, no_points

Masks = NDArray[np.bool_]
VALIDATION_SEED = HELD_OUT_SEED + 2**30
"""Far from the held-out seeds, which are few and start at HELD_OUT_SEED."""
CLIPS, FRAMES = 12, 16


def track(view: View, clip: Clip) -> Iterator[Masks]:
    """Click every object in the first frame and yield the masks [objects, S, S] of each frame."""
    points = torch.tensor([[centre_click(clip.labels[0] == label)] for label in clip.ids])
    labels = torch.ones(clip.objects, 1, dtype=torch.long)
    device = view.mean.device
    everyone = torch.zeros(clip.objects, dtype=torch.long, device=device)
    bank: list[Remembered] = []
    for frame, picture in enumerate(clip.frames):
        maps = view.encode(torch.from_numpy(picture[None]).to(device)).take(everyone)
        if frame == 0:
            conditioned = view.without_memory(maps.coarse)
            prompt = points.to(device), labels.to(device)
        else:
            conditioned = view.recall(maps.coarse, bank, frame, view.pointers)
            prompt = no_points(clip.objects, device)
        decoded = view.decode(Features(maps.fine, maps.middle, conditioned), *prompt)
        logits, token = decoded.best()
        present = (decoded.score > 0).float()
        bank.append(view.remember(maps.coarse, logits, token, present, frame, frame == 0))
        bank = [m for m in bank if m.prompted or frame - m.frame < view.pointers]
        logits = torch.where(present[..., None, None] > 0, logits, ABSENT_LOGIT)
        full = F.interpolate(logits, size=(view.size, view.size), mode="bilinear", align_corners=False)
        yield (full[:, 0] > 0).cpu().numpy()


@dataclass(frozen=True, slots=True)
class Validation:
    """IoU in the first frame and after it while visible, and share of absent frames with a mask."""

    first: float
    tracked: float
    ghosts: float

    def __str__(self) -> str:
        return f"J_first {self.first:.3f}  J {self.tracked:.3f}  absent false positives {self.ghosts:.3f}"


def _iou(found: Masks, true: Masks) -> float:
    either = int((found | true).sum())
    return float((found & true).sum()) / either if either else 1.0


def judge(view: View, clips: list[Clip]) -> Validation:
    """Track clips and compare with the truth."""
    first, tracked, ghosts = [], [], []
    for clip in clips:
        with torch.no_grad():
            for frame, masks in enumerate(track(view, clip)):
                for label, found in zip(clip.ids, masks, strict=True):
                    true = clip.labels[frame] == label
                    if frame == 0:
                        first.append(_iou(found, true))
                    elif true.any():
                        tracked.append(_iou(found, true))
                    else:
                        ghosts.append(float(found.any()))
    return Validation(float(np.mean(first)), float(np.mean(tracked)), float(np.mean(ghosts or [0.0])))


def validate(run: Run, size: int) -> Validation:
    """Judge the averaged weights of a run on cluttered scenes, and put the trained ones back."""
    model = run.view.model
    trained = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(run.average.state)
    clips = [render("cluttered", VALIDATION_SEED + number, size, FRAMES) for number in range(CLIPS)]
    try:
        return judge(run.view, clips)
    finally:
        model.load_state_dict(trained)
