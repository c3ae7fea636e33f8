"""Scripts of what a decoder gives, frame by frame, for tests of memory policies: occlusion, distractors, prompts."""

from dataclasses import dataclass

import numpy as np
from masklet.runtime.bundle.spec import MemorySpec, ModelSpec, Preprocess, StageSpec, Tensor, TensorSpec
from masklet.runtime.tracking.known_policies import Memory
from masklet.runtime.tracking.memory_bank import MemoryBank
from masklet.runtime.tracking.memory_policy import Seen

SIDE = 32  # of low-resolution masks
SPEC = MemorySpec(recent_frames=6, prompted_frames=8, pointers=16)
ABSENT = -1024.0


@dataclass(frozen=True)
class Shot:
    """One object on one frame. candidates: [3, SIDE, SIDE] logits; ious: [3]; prompted: by a user, with a mask."""

    time: int
    prompted: bool
    candidates: Tensor
    ious: Tensor
    score: float

    @property
    def masks(self) -> Tensor:
        """The candidates as masks."""
        return self.candidates > 0

    def seen(self, candidate: int | None = None) -> Seen:
        """What a policy sees of it. candidate: the one that is taken; the decoder's choice where None."""
        best = int(np.argmax(self.ious))
        taken = best if candidate is None else candidate
        mask = self.candidates[taken]
        if candidate is None and self.score <= 0 and not self.prompted:
            mask = np.full_like(mask, ABSENT)
        iou = float(self.ious[taken])
        sure = max(0.0, 2 / (1 + np.exp(-self.score)) - 1)
        several = (None, None) if self.prompted else (self.candidates, self.ious)
        return Seen(self.time, self.prompted, mask, self.score, iou, sure * iou, *several)


def random_script(rng: np.random.Generator, frames: int, start: int = 0) -> list[Shot]:
    """An object that moves, hides, changes its size and meets look-alikes; prompted first, and rarely again."""
    centre, speed, radius = rng.uniform(8, 24, 2), rng.normal(size=2), rng.uniform(2, 6)
    hidden = 0
    shots = []
    for time in range(start, start + frames):
        centre, radius = np.clip(centre + speed, 3, SIDE - 4), float(np.clip(radius + rng.normal() * 0.15, 1, 8))
        if rng.random() < 0.1:
            speed = rng.normal(size=2)
        hidden = hidden - 1 if hidden else int(rng.integers(1, 12)) if rng.random() < 0.05 else 0
        shots.append(_shot(rng, time, time == start or rng.random() < 0.02, centre, radius, hidden > 0))
    return shots


def _shot(rng: np.random.Generator, time: int, prompted: bool, centre: Tensor, radius: float, hidden: bool) -> Shot:
    candidates = np.stack([_blob(rng, centre, radius) for _ in range(3)])
    if rng.random() < 0.4:  # one candidate takes a look-alike in, or is one
        other = _blob(rng, rng.uniform(3, SIDE - 4, 2), radius)
        row = int(rng.integers(3))
        candidates[row] = np.maximum(candidates[row], other) if rng.random() < 0.7 else other
    if hidden and rng.random() < 0.5:
        candidates[:] = -5.0
    score = -abs(rng.normal()) * 3 if hidden else abs(rng.normal()) * 5
    ious = rng.uniform(0.0, 0.6, 3) if hidden else rng.uniform(0.25, 1.0, 3)
    return Shot(time, prompted, candidates.astype(np.float32), ious.astype(np.float32), 9.0 if prompted else score)


def _blob(rng: np.random.Generator, centre: Tensor, radius: float) -> Tensor:
    x, y = np.arange(SIDE) - (centre + rng.normal(size=2) * 0.4)[:, None]
    logits: Tensor = radius - np.hypot(x[None], y[:, None])
    return logits


def toy_bank(memory: Memory, tokens: int = 1, channels: int = 1) -> MemoryBank:
    """A bank of a model with memories [tokens, channels], one number each by default; what `keep` keeps is the time."""
    tensors = {"memory": (tokens, channels), "memory_time": (), "pointers": (1,), "pointer_time": ()}
    inputs = tuple(
        TensorSpec(name, ("objects", "memories" if "memory" in name else "pointers", *rest), "float32")
        for name, rest in tensors.items()
    )
    decoder = ("candidate_masks", "candidate_ious", "candidate_pointers")
    stages = (
        StageSpec("memory_attention", inputs, (TensorSpec("image_embed", ("objects", 1)),)),
        StageSpec(
            "mask_decoder",
            (TensorSpec("multimask", ("objects",)),),
            tuple(TensorSpec(name, ("objects", 4)) for name in decoder),
        ),
    )
    half = (0.5, 0.5, 0.5)
    return MemoryBank(ModelSpec("toy", "one", "video", Preprocess(8, half, half), stages, memory=SPEC), memory)


def keep(bank: MemoryBank, object_id: int, seen: Seen) -> None:
    """Keep a frame whose memory and pointer are its time."""
    value = np.full((1, 1), seen.time, np.float32)
    wanted = bank.note(object_id, seen, seen.prompted)
    bank.keep(object_id, value if wanted else None, value[0])
