"""One training step of each kind: still pictures (stage A) and clips with memory (stage B)."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from clicks import CORNERS, POSITIVE, correction, loose_box, random_click
from losses import Grouping, coarse_truth, decoded_loss, presence_loss, tame
from numpy.typing import NDArray
from pool import Batch
from torch import Tensor
from view import Decoded, Features, Remembered, View, no_points

Masks = NDArray[np.bool_]
Chosen = tuple[Tensor, Tensor]  # logits [B, 1, G, G] and output tokens [B, D], see `Decoded`
TEACHER_LOGIT = 8.0
CORRECTED_CLIPS = 0.7
"""Share of the clips with a correction. At 0.3 a correction mended its own frame and did nothing for the rest."""
CLAMP = 32.0
"""Earlier logits enter the mask prompt clamped to this (sam2_video_predictor.py, line 249)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Loss of a step, and figures for the log."""

    loss: Tensor
    figures: dict[str, float]


def _clicks(masks: Masks, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    points = torch.tensor([[random_click(mask, rng)] for mask in masks])
    return points, torch.full((len(masks), 1), POSITIVE)


def _boxes(masks: Masks, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    points = torch.tensor([loose_box(mask, rng) for mask in masks])
    return points, torch.tensor([CORNERS] * len(masks))


def _corrections(logits: Tensor, masks: Masks, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """One click per object into the error of logits [B, 1, G, G]."""
    full = F.interpolate(logits, size=masks.shape[-2:], mode="bilinear", align_corners=False)
    found = (full[:, 0] > 0).cpu().numpy()
    drawn = [correction(guess, truth, rng) for guess, truth in zip(found, masks, strict=True)]
    return torch.tensor([[point] for point, _ in drawn]), torch.tensor([[label] for _, label in drawn])


def still_lesson(view: View, grouping: Grouping, batch: Batch, rng: np.random.Generator, help_weight: float) -> Outcome:
    """Two clicks on every object, and then either a box or corrections of the first click's mask."""
    device = view.mean.device
    masks, owner = batch.masks[:, 0], torch.from_numpy(batch.owner).to(device)
    truth = coarse_truth(torch.from_numpy(masks).to(device))
    features = view.encode(torch.from_numpy(batch.pictures[:, 0]).to(device))
    plain = Features(features.fine, features.middle, view.without_memory(features.coarse))
    twice, pair = plain.take(owner.repeat(2)), np.concatenate([masks, masks])
    points, labels = (part.to(device) for part in _clicks(pair, rng))
    clicked = view.decode(twice, points, labels)
    everyone = torch.ones(len(pair), device=device)
    loss, click_iou = decoded_loss(clicked, truth.repeat(2, 1, 1), everyone)
    count, maps = len(masks), plain.take(owner)
    figures = {"click": float(click_iou)}
    if rng.random() < 0.5:
        second = view.decode(maps, *(part.to(device) for part in _boxes(masks, rng)))
        name = "box"
    else:
        earlier = clicked.best()[0][:count].detach()
        more = [_corrections(earlier, masks, rng) for _ in range(int(rng.integers(1, 3)))]
        points = torch.cat([points[:count]] + [point.to(device) for point, _ in more], dim=1)
        labels = torch.cat([labels[:count]] + [label.to(device) for _, label in more], dim=1)
        prompt = earlier.clamp(-CLAMP, CLAMP) if rng.random() < 0.7 else None
        second, name = view.decode(maps, points, labels, prompt), "corrected"
    second_loss, figures[name] = _measured(second, truth)
    loss = loss + 0.6 * second_loss + tame(features.coarse)
    loss = loss + 0.05 * F.softplus(-torch.cat([clicked.score, second.score])).mean()
    if help_weight > 0:
        loss = loss + help_weight * grouping(view, features, owner, truth)
    return Outcome(loss, figures)


def _measured(decoded: Decoded, truth: Tensor) -> tuple[Tensor, float]:
    loss, iou = decoded_loss(decoded, truth, torch.ones(len(truth), device=truth.device))
    return loss, float(iou)


class ClipLesson:
    """Follow the objects of a batch of clips frame by frame, as inference does, and add up the losses."""

    def __init__(self, view: View, batch: Batch, rng: np.random.Generator, teach: float) -> None:
        """teach: probability that memory gets the true mask instead of the predicted one."""
        self.view, self.masks, self.rng, self.teach = view, batch.masks, rng, teach
        self.device = view.mean.device
        self.frames = batch.pictures.shape[1]
        flat = torch.from_numpy(batch.pictures.reshape(-1, *batch.pictures.shape[2:])).to(self.device)
        features = view.encode(flat)
        owner = torch.from_numpy(batch.owner).to(self.device)
        rows = [owner * self.frames + frame for frame in range(self.frames)]
        self.maps = [features.take(row) for row in rows]
        self.penalty = tame(features.coarse)
        truth = torch.from_numpy(np.ascontiguousarray(batch.masks)).to(self.device)
        self.truth = [coarse_truth(truth[:, frame]) for frame in range(self.frames)]
        area = truth.sum((2, 3))
        self.present, self.weight = (area >= 4).float(), (area >= 20).float()
        self.bank: list[Remembered] = []

    def run(self) -> Outcome:
        """Prompt the first frame, track the rest, correct one of them with frames to come in most clips."""
        length = 16 if self.rng.random() < 0.7 else self.frames
        corrected = int(self.rng.integers(1, self.frames - 1)) if self.rng.random() < CORRECTED_CLIPS else -1
        loss, first_iou = self._first()
        scores, overlaps, after = [], [], []
        for frame in range(1, self.frames):
            conditioned = self.view.recall(self.maps[frame].coarse, self.bank, frame, length)
            maps = Features(self.maps[frame].fine, self.maps[frame].middle, conditioned)
            decoded = self.view.decode(maps, *no_points(len(self.masks), self.device))
            frame_loss, iou = decoded_loss(decoded, self.truth[frame], self.weight[:, frame])
            loss = loss + frame_loss
            scores.append(decoded.score[:, 0])
            overlaps.append(float(iou))
            chosen = decoded.best()
            if frame == corrected:
                decoded, chosen, more = self._correct(decoded, maps, frame)
                loss = loss + more
            if frame < self.frames - 1:
                self._store(frame, decoded, chosen, frame == corrected)
            after.append(self.present[:, frame])
        score, there = torch.cat(scores), torch.cat(after)
        with torch.no_grad():
            kept = ((score > 0) * there).sum() / there.sum().clamp(min=1)
            ghosts = ((score > 0) * (1 - there)).sum() / (1 - there).sum().clamp(min=1)
        figures = {
            "first": first_iou,
            "tracked": float(np.mean(overlaps)),
            "kept": float(kept),
            "ghosts": float(ghosts),
            "absent": float((1 - there).mean()),
        }
        return Outcome(loss / self.frames + presence_loss(score, there) + self.penalty, figures)

    def _first(self) -> tuple[Tensor, float]:
        """A click, a box or a mask on the first frame; all objects of a batch get the same kind."""
        masks, maps, choice = self.masks[:, 0], self.maps[0], self.rng.random()
        maps = Features(maps.fine, maps.middle, self.view.without_memory(maps.coarse))
        if choice < 0.85:
            draw = _clicks if choice < 0.65 else _boxes
            points, labels = draw(masks, self.rng)
            decoded = self.view.decode(maps, points.to(self.device), labels.to(self.device))
            chosen = decoded.best() if choice < 0.65 else decoded.single()
        else:
            # A mask prompt is its own answer; the decoder only makes the pointer, from the raw coarse map.
            prompt = torch.from_numpy(np.ascontiguousarray(masks)).to(self.device)
            decoded = self.view.decode(self.maps[0], *no_points(len(masks), self.device), self.view.mask_prompt(prompt))
            chosen = (prompt[:, None].float() * 20 - 10, decoded.single()[1])
        loss, iou = decoded_loss(decoded, self.truth[0], torch.ones(len(masks), device=self.device))
        self._store(0, decoded, chosen, True, own=choice >= 0.85)
        return 0.5 * loss + 0.05 * F.softplus(-decoded.score).mean(), float(iou)

    def _correct(self, decoded: Decoded, maps: Features, frame: int) -> tuple[Decoded, Chosen, Tensor]:
        """Decode a tracked frame again with its own logits as mask prompt and a click into its error, or with two or
        three, each into what is wrong after the one before. Returns also what is chosen, and the loss."""
        points, labels = (part[:, :0] for part in no_points(len(self.masks), self.device))
        chosen, loss = decoded.best(), torch.zeros((), device=self.device)
        clicks = 1 if self.rng.random() < 0.6 else int(self.rng.integers(2, 4))
        for _ in range(clicks):
            earlier = chosen[0].detach()
            shown = torch.where(decoded.score[..., None, None] > 0, earlier, -CLAMP)
            point, label = (part.to(self.device) for part in _corrections(shown, self.masks[:, frame], self.rng))
            points, labels = torch.cat([points, point], dim=1), torch.cat([labels, label], dim=1)
            decoded = self.view.decode(maps, points, labels, earlier.clamp(-CLAMP, CLAMP))
            chosen = decoded.single() if points.shape[1] > 1 else decoded.best()
            loss = loss + decoded_loss(decoded, self.truth[frame], self.weight[:, frame])[0]
            loss = loss + 0.2 * presence_loss(decoded.score[:, 0], self.present[:, frame])
        return decoded, chosen, loss / clicks

    def _store(self, frame: int, decoded: Decoded, chosen: Chosen, prompted: bool, own: bool = False) -> None:
        """Put a frame into memory, with the true mask and presence for some objects (scheduled sampling).

        own: the mask is a prompt, so it is present by definition.
        """
        logits, token = chosen[0].detach(), chosen[1]
        present = self.present[:, frame : frame + 1]
        taught = torch.from_numpy(self.rng.random((len(self.masks), 1)) < self.teach).to(self.device)
        if not own:
            true = (self.truth[frame][:, None] - 0.5) * 2 * TEACHER_LOGIT
            logits = torch.where(taught[..., None, None], true, logits)
            lenient = torch.from_numpy(self.rng.random((len(self.masks), 1)) < 0.3).to(self.device)
            present = torch.where(taught | lenient, present, (decoded.score.detach() > 0).float())
        maps = self.maps[frame].coarse
        self.bank.append(self.view.remember(maps, logits, token, present, frame, prompted))
