"""What makes one training run differ from another, and how learning rate and lessons follow its budget."""

import math
from dataclasses import asdict, dataclass

from pool import PoolPlan

STILLS_UNTIL = 0.28
"""Share of the budget for stage A, before clips come in."""
CLIP_FRAMES = ((0.15, 3), (0.8, 5), (1.0, 8))
CLIP_EVERY = 3
"""Frames of a clip by progress in stage B: up to 15 % of it 3, then 5, then 8.
Every third step is a clip: it costs four times as much as one of pictures, and following is learned faster than
cutting out."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything a checkpoint must agree with before training goes on from it."""

    seed: int = 0
    size: int = 128
    hidden: int = 128
    widths: tuple[int, ...] = (24, 48, 96, 192)
    workers: int = 2
    pictures: int = 8
    clips: int = 4
    objects: int = 3
    pool: int = 1500
    pool_frames: int = 12
    warm_up: int = 250
    rate: float = 1.5e-3
    decay: float = 0.02
    average: float = 0.99
    kinds: tuple[tuple[str, float], ...] = (("cluttered", 0.6), ("plain", 0.15), ("rich", 0.25))

    def plan(self) -> PoolPlan:
        """The pool of clips of this recipe: every clip is seen about once a frame before it is replaced."""
        return PoolPlan(self.pool, self.pool_frames, self.size, self.kinds, refresh_every=2)

    def differences(self, other: dict[str, object]) -> list[str]:
        """Names and values in which a stored recipe is another one, as `name stored (here ours)`."""
        mine = asdict(self)
        return [
            f"{name} {other.get(name)!r} (here {value!r})" for name, value in mine.items() if other.get(name) != value
        ]


@dataclass(frozen=True, slots=True)
class Moment:
    """What progress, 0..1 through the budget, means for a step."""

    progress: float
    step: int

    @property
    def stills(self) -> bool:
        """Stage A: no clips yet."""
        return self.progress < STILLS_UNTIL

    @property
    def stage(self) -> float:
        """Progress within the present stage, 0..1."""
        if self.stills:
            return self.progress / STILLS_UNTIL
        return min(1.0, (self.progress - STILLS_UNTIL) / (1 - STILLS_UNTIL))

    @property
    def is_clip(self) -> bool:
        """In stage B every third step is a clip; the others go on with stills."""
        return not self.stills and self.step % CLIP_EVERY == 0

    @property
    def clip_frames(self) -> int:
        """Length of clips at this point of stage B."""
        return next(frames for until, frames in CLIP_FRAMES if self.stage <= until)

    @property
    def teach(self) -> float:
        """Probability of true masks in memory: 0.8 at first, 0.1 from 70 % of stage B on."""
        return 0.1 + 0.7 * max(0.0, 1 - self.stage / 0.7)

    @property
    def help_weight(self) -> float:
        """Weight of the grouping loss: fades out over stage A."""
        return 0.5 * (1 - self.stage) if self.stills else 0.0

    @property
    def rate(self) -> float:
        """Learning rate as a share of the recipe's: flat, halved over the end of stage A; cosine in stage B."""
        if self.stills:
            return min(1.0, (self.step + 1) / 60) * (1 - 0.4 * max(0.0, (self.stage - 0.5) / 0.5))
        ramp = min(1.0, 0.2 + self.stage / 0.02)
        return ramp * 0.65 * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * max(0.0, (self.stage - 0.15) / 0.85))))
