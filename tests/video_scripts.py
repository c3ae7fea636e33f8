"""What happens to the objects of a clip, frame by frame: the scripts that two trackers are compared on."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from masklet.runtime.prompts.prompts import Box, Mask, Points, Prompt
from numpy.typing import NDArray

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Script:
    """Events of a clip. Times count the frames as they are given, backwards in a clip that is played so.

    prompts:     time -> object id -> a prompt that segments the object anew.
    corrections: time -> (object id, prompt), after the frame was tracked.
    removals:    time -> object id that leaves before the frame.
    """

    frames: NDArray[np.uint8]
    reverse: bool
    prompts: dict[int, dict[int, Prompt]] = field(default_factory=dict)
    corrections: dict[int, tuple[int, Prompt]] = field(default_factory=dict)
    removals: dict[int, int] = field(default_factory=dict)

    def order(self) -> Iterator[tuple[int, int]]:
        """Time and index of the frames, as they are played."""
        last = len(self.frames) - 1
        for time in range(last + 1):
            yield time, last - time if self.reverse else time


def write_script(clip: Any, seed: int, *, reverse: bool = False) -> Script:
    """A script for a clip of the nano's scenes, drawn by its seed.

    Objects begin with clicks, a box or a box with a click; one of them joins late with a mask, is corrected on a later
    frame, is prompted anew, and another one leaves.
    """
    rng = np.random.default_rng([seed, 22])
    labels = clip.labels[::-1] if reverse else clip.labels
    script = Script(clip.frames, reverse)
    ids = list(clip.ids)
    starts = dict.fromkeys(ids, 0) | ({ids[-1]: int(rng.integers(3, 7))} if len(ids) > 1 else {})
    for turn, object_id in enumerate(ids):
        if (time := _visible(labels, object_id, starts[object_id])) is not None:
            kind = ("clicks", "box", "box and click", "mask")[(seed + turn) % 4]
            script.prompts.setdefault(time, {})[object_id] = _prompt(rng, labels[time], object_id, kind)
    begun = [object_id for given in script.prompts.values() for object_id in given]
    corrected = int(rng.choice(begun))
    if (time := _visible(labels, corrected, int(rng.integers(9, 13)))) is not None:
        script.corrections[time] = corrected, _prompt(rng, labels[time], corrected, ("clicks", "mask")[seed % 5 == 0])
    again = int(rng.choice(begun))
    if seed % 3 == 0 and (time := _visible(labels, again, int(rng.integers(14, 17)))) is not None:
        script.prompts.setdefault(time, {})[again] = _prompt(rng, labels[time], again, "clicks")
    leavers = [object_id for object_id in begun if object_id not in (corrected, again)]
    if seed % 2 == 0 and leavers:
        script.removals[max(script.prompts) + 2] = leavers[0]
    return script


def _visible(labels: Labels, object_id: int, since: int) -> int | None:
    """The first time from `since` on at which enough of an object shows."""
    shows = [time for time in range(since, len(labels)) if (labels[time] == object_id).sum() >= 40]
    return shows[0] if shows else None


def _prompt(rng: np.random.Generator, labels: Labels, object_id: int, kind: str) -> Prompt:
    inside = labels == object_id
    if kind == "mask":
        return Mask(inside)
    rows, columns = np.nonzero(inside)
    if kind == "clicks":
        return _clicks(rng, labels, object_id, int(rng.integers(1, 4)))
    jitter = rng.integers(-2, 3, 4)
    side = labels.shape[0]
    x0, y0 = (int(np.clip(low + j, 0, side - 6)) for low, j in zip((columns.min(), rows.min()), jitter, strict=False))
    x1, y1 = (columns.max() + 1 + jitter[2], rows.max() + 1 + jitter[3])
    x1, y1 = int(np.clip(x1, x0 + 5, side)), int(np.clip(y1, y0 + 5, side))
    return Box(x0, y0, x1, y1, _clicks(rng, labels, object_id, 1) if kind == "box and click" else None)


def _clicks(rng: np.random.Generator, labels: Labels, object_id: int, count: int) -> Points:
    """A click on an object, then clicks on it or beside it."""
    xy, signs = [], []
    for number in range(count):
        positive = number == 0 or bool(rng.random() < 0.5)
        rows, columns = np.nonzero((labels == object_id) == positive)
        pick = int(rng.integers(len(rows)))
        xy.append((columns[pick] + 0.5, rows[pick] + 0.5))
        signs.append(int(positive))
    return Points(np.array(xy, np.float32), np.array(signs))
