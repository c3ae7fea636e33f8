"""The decoder's first lesson: a click means the disk around it, a box the rectangle.

Features of a fresh encoder say nothing, so the decoder would learn to ignore its prompts and the whole model
to predict the mean mask. A few hundred steps on fixed features teach it to listen first.
"""

from collections.abc import Callable

import numpy as np
import torch
from clicks import CORNERS, POSITIVE
from losses import coarse_truth, mask_losses
from numpy.typing import NDArray
from recipe import Recipe
from scenes import render
from state import Run
from view import Features, View

PICTURES, BATCH, DISK = 48, 32, 0.13


def _shapes(points: NDArray[np.float64], boxes: bool, size: int) -> NDArray[np.bool_]:
    """The disk around each point [B, 1, 2], or the rectangle between two points [B, 2, 2]."""
    y, x = np.mgrid[0:size, 0:size]
    first = points[:, 0, :, None, None]
    if not boxes:
        return np.asarray((x - first[:, 0]) ** 2 + (y - first[:, 1]) ** 2 < (DISK * size) ** 2)
    last = points[:, 1, :, None, None]
    inside_x = (x >= first[:, 0]) & (x <= last[:, 0])
    return np.asarray(inside_x & (y >= first[:, 1]) & (y <= last[:, 1]))


def _prompts(rng: np.random.Generator, boxes: bool, size: int) -> NDArray[np.float64]:
    points = rng.uniform(0, size, (BATCH, 2 if boxes else 1, 2))
    return np.sort(points, axis=1)


def _features(view: View, recipe: Recipe) -> Features:
    pictures = np.stack([render("plain", number, recipe.size, 1).frames[0] for number in range(PICTURES)])
    with torch.no_grad():
        return view.encode(torch.from_numpy(pictures).to(view.mean.device))


def separation(view: View, features: Features) -> float:
    """Mean absolute difference between the logits of two clicks far apart; near 0 if clicks are ignored."""
    size, device = float(view.size), view.mean.device
    few = features.take(torch.arange(8, device=device))
    maps = Features(few.fine, few.middle, view.without_memory(few.coarse))
    labels = torch.ones(8, 1, dtype=torch.long, device=device)
    with torch.no_grad():
        masks = [
            view.decode(maps, torch.full((8, 1, 2), place * size, device=device), labels).best()[0]
            for place in (0.25, 0.75)
        ]
    return float((masks[0] - masks[1]).abs().mean())


def warm_up(run: Run, recipe: Recipe, report: Callable[[str], None]) -> None:
    """Take `recipe.warm_up` steps on the decoder and start the average from there."""
    view, features = run.view, _features(run.view, recipe)
    device = view.mean.device
    rng = np.random.default_rng([recipe.seed, 2])
    optimizer = torch.optim.AdamW(view.model.parameters(), lr=recipe.rate, betas=(0.9, 0.98))
    for step in range(recipe.warm_up):
        optimizer.param_groups[0]["lr"] = recipe.rate * min(1.0, (step + 1) / 30)
        boxes = step % 4 == 3
        points = _prompts(rng, boxes, recipe.size)
        truth = coarse_truth(torch.from_numpy(_shapes(points, boxes, recipe.size)).to(device))
        maps = features.take(torch.from_numpy(rng.integers(PICTURES, size=BATCH)).to(device))
        maps = Features(maps.fine, maps.middle, view.without_memory(maps.coarse))
        labels = torch.tensor([CORNERS if boxes else (POSITIVE,)] * BATCH, device=device)
        decoded = view.decode(maps, torch.from_numpy(points).float().to(device), labels)
        losses, iou = mask_losses(decoded.logits, truth)
        optimizer.zero_grad(set_to_none=True)
        losses.mean().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(view.model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 49:
            apart = separation(view, features)
            report(f"warm-up {step + 1}: IoU {float(iou.mean()):.3f}, two clicks differ by {apart:.2f}")
    run.average.state = {name: value.detach().clone() for name, value in view.model.state_dict().items()}
