"""From masks and truth to the figures of a table: accuracy, ghosts while absent, recovery after it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from masklet.calibration.scoring.accuracy import accuracy, region_similarity
from numpy.typing import NDArray

Masks = NDArray[np.bool_]

VISIBLE, GONE = 20 / 128**2, 4 / 128**2
"""Shares of the picture from which an object counts as visible, and below which as absent. Between them, when
a sliver shows at the edge, a frame counts for neither."""
RECOVERED, PATIENCE = 0.5, 5
"""A lost object is found again when J reaches this within so many visible frames of its return."""


@dataclass(frozen=True, slots=True)
class Track:
    """The masks found and true [T, H, W] of one object; the first frame is the prompted one."""

    found: Masks
    true: Masks

    def __post_init__(self) -> None:
        if self.found.shape != self.true.shape:
            raise ValueError(f"masks {list(self.found.shape)} against truth {list(self.true.shape)}")

    @property
    def visible(self) -> NDArray[np.bool_]:
        """[T], whether enough of the object shows."""
        return np.asarray(self.true.mean(axis=(1, 2)) >= VISIBLE)

    @property
    def absent(self) -> NDArray[np.bool_]:
        """[T], whether next to nothing of it shows."""
        return np.asarray(self.true.mean(axis=(1, 2)) < GONE)

    def later(self) -> list[int]:
        """Frames after the first in which the object is visible."""
        return [int(frame) for frame in np.flatnonzero(self.visible) if frame > 0]

    def returns(self) -> Iterator[list[int]]:
        """For every absence that ends: the first visible frames after it."""
        gone, patience = False, PATIENCE
        frames: list[int] = []
        for frame, (visible, absent) in enumerate(zip(self.visible, self.absent, strict=True)):
            if absent:
                if frames:
                    yield frames
                gone, patience, frames = True, PATIENCE, []
            elif visible and gone and patience:
                frames.append(frame)
                patience -= 1
        if frames:
            yield frames


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over visible objects and frames after the first (J, F, JF), over first frames (J_first), over absent
    frames (share with a mask), and over returns (share found again). NaN where there was nothing to count."""

    J: float
    F: float
    JF: float
    J_first: float
    absent_false_positive_rate: float
    recovery_rate: float
    fps: float

    def as_json(self) -> dict[str, float | None]:
        """The figures by name; null where there was nothing to count."""
        return {name: None if np.isnan(value) else round(value, 4) for name, value in asdict(self).items()}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def figures(tracks: Sequence[Track], fps: float) -> Figures:
    """Score tracks; fps is the speed at which they were made."""
    j, f, first, ghosts, recovered = [], [], [], [], []
    for track in tracks:
        first.append(region_similarity(track.found[0], track.true[0]))
        for frame in track.later():
            scored = accuracy(track.found[frame], track.true[frame])
            j.append(scored.J)
            f.append(scored.F)
        ghosts += [float(track.found[frame].any()) for frame in np.flatnonzero(track.absent)]
        for frames in track.returns():
            best = max(region_similarity(track.found[frame], track.true[frame]) for frame in frames)
            recovered.append(float(best >= RECOVERED))
    region, contour = _mean(j), _mean(f)
    return Figures(region, contour, (region + contour) / 2, _mean(first), _mean(ghosts), _mean(recovered), fps)
