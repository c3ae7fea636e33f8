"""A rolling pool of rendered clips: training draws from it while new clips replace the oldest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scenes import HELD_OUT_SEED, render

Bytes = NDArray[np.uint8]
SMALLEST_CLICKED = 100 / 128**2
"""Least visible share of the picture of an object that training prompts."""
SLOTS = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """pictures [N, T, S, S, 3] uint8; masks [B, T, S, S] bool; owner [B]: the clip of each object."""

    pictures: Bytes
    masks: NDArray[np.bool_]
    owner: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """How many clips of how many frames, and how the kinds are mixed."""

    clips: int
    frames: int
    size: int
    kinds: tuple[tuple[str, float], ...]
    refresh_every: int
    """Steps between two replacements of the oldest clip."""


class Pool:
    """The clips at a step depend on the seed and the step alone, so a resumed run sees the same data."""

    def __init__(self, plan: PoolPlan, seed: int) -> None:
        self.plan = plan
        self._seed = seed
        shape = (plan.clips, plan.frames, plan.size, plan.size)
        self._pictures = np.empty((*shape, 3), np.uint8)
        self._labels = np.empty(shape, np.uint8)
        self._areas = np.zeros((plan.clips, plan.frames, SLOTS), np.int64)
        self._filled = 0

    def advance(self, step: int) -> None:
        """Render what the pool lacks at a step; the first call renders all of it."""
        newest = step // self.plan.refresh_every + self.plan.clips
        self._filled = max(self._filled, newest - self.plan.clips)
        while self._filled < newest:
            self._put(self._filled)
            self._filled += 1

    def _put(self, number: int) -> None:
        rng = np.random.default_rng([self._seed, number, 1])
        names, weights = zip(*self.plan.kinds, strict=True)
        kind = str(rng.choice(names, p=np.array(weights) / sum(weights)))
        objects = int(rng.choice([1, 2, 2, 3, 3]))
        seed = int(rng.integers(HELD_OUT_SEED))
        clip = render(kind, seed, self.plan.size, self.plan.frames, objects)
        slot = number % self.plan.clips
        self._pictures[slot], self._labels[slot] = clip.frames, clip.labels
        for label in range(1, SLOTS + 1):
            self._areas[slot, :, label - 1] = (clip.labels == label).sum(axis=(1, 2))

    def draw(self, rng: np.random.Generator, clips: int, frames: int, most_objects: int) -> Batch:
        """Draw clips of a number of frames, each with 1 to `most_objects` objects visible in its first one.

        Strides, direction, mirroring and the order of colour channels vary. Clips in which an object goes
        missing are drawn three times as often, when there is more than one frame.
        """
        pictures: list[Bytes] = []
        masks: list[NDArray[np.bool_]] = []
        owner: list[int] = []
        least = SMALLEST_CLICKED * self.plan.size**2
        while len(pictures) < clips:
            slot = int(rng.integers(self.plan.clips))
            order = self._order(rng, frames)
            seen = np.flatnonzero(self._areas[slot, order[0]] >= least)
            if not len(seen):
                continue
            missing = bool((self._areas[slot][order][:, seen] < 4).any())
            if frames > 1 and not missing and rng.random() < 2 / 3:
                continue
            chosen = rng.permutation(seen)[:most_objects]
            labels = self._labels[slot][order]
            truth = np.stack([labels == label + 1 for label in chosen])
            picture, truth = _vary(rng, self._pictures[slot][order], truth)
            owner += [len(pictures)] * len(chosen)
            pictures.append(picture)
            masks.append(truth)
        return Batch(np.stack(pictures), np.concatenate(masks), np.array(owner))

    def _order(self, rng: np.random.Generator, frames: int) -> NDArray[np.int64]:
        stride = int(rng.integers(1, 1 + max(1, (self.plan.frames - 1) // max(frames - 1, 1))))
        stride = min(stride, 3)
        span = stride * (frames - 1)
        order = int(rng.integers(0, self.plan.frames - span)) + stride * np.arange(frames)
        return order[::-1] if rng.random() < 0.5 else order


def _vary(rng: np.random.Generator, pictures: Bytes, masks: NDArray[np.bool_]) -> tuple[Bytes, NDArray[np.bool_]]:
    """Mirror a clip at random and shuffle its colour channels."""
    if rng.random() < 0.5:
        pictures, masks = pictures[:, :, ::-1], masks[..., ::-1]
    if rng.random() < 0.5:
        pictures, masks = pictures[:, ::-1], masks[..., ::-1, :]
    return pictures[..., rng.permutation(3)], masks
