"""What is read at one position, frame by frame: how well the object stands out, how far it is from what is remembered,
and whether anything changes at all."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
from masklet.calibration.diagnosis.measures.read_out import ReadOut, left_out_scores, separability

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
REGULARISED = 0.1  # of the mean variance of a position's channels, added to each channel's in the distance


class Reading(msgspec.Struct, frozen=True):
    """One position on one frame. None where the object's cells are all or none of the grid, or nothing is remembered.

    auc, precision:             of the read-out that was fitted on the first frame of the position.
    refit_auc, refit_precision: of the read-out fitted on this frame, each cell left out of its own.
    distance:                   regularised L2 distance of the object's mean features from those of the remembered
                                frames, in deviations of the first frame's cells.
    change:                     of all features from the frame before, relative; None where the picture is the same as
                                before, or the position was not observed there.
    """

    auc: float | None = None
    precision: float | None = None
    refit_auc: float | None = None
    refit_precision: float | None = None
    distance: float | None = None
    change: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a position holds on a frame.

    features:   [cells, channels]. cells: [cells], which are the object's. scores: [cells], where the position scores
                its cells itself, as a mask does.
    remembered: the frames that were attended to. judged: whether the cells are true. same: whether the picture is that
                of the frame before.
    """

    frame: int
    features: F32
    cells: BoolArray
    scores: F32 | None
    remembered: Sequence[int]
    judged: bool
    same: bool


class Reader:
    """Reads one position of one object; keeps the read-out, and the object's mean features of every frame."""

    def __init__(self) -> None:
        self._read_out: ReadOut | None = None
        self._deviation: F64 | None = None
        self._means: dict[int, F64] = {}
        self._before: F32 | None = None

    def read(self, seen: Seen) -> tuple[Reading, npt.NDArray[np.floating] | None]:
        """Read a frame; also returns what its cells score, [cells], None where nothing is fitted yet."""
        both_kinds = seen.judged and bool(seen.cells.any() and not seen.cells.all())
        if both_kinds and seen.scores is None and self._read_out is None:
            self._read_out = ReadOut.fit(seen.features, seen.cells)
        scores = self._read_out.scores(seen.features) if self._read_out else seen.scores
        separability = _separability(seen, scores) if both_kinds and scores is not None else {}
        reading = Reading(**separability, distance=self._distance(seen), change=self._change(seen))
        return reading, scores

    def _distance(self, seen: Seen) -> float | None:
        """The distance from what is remembered. A mask, which scores its cells itself, has none."""
        if seen.scores is not None or not seen.cells.any():
            return None
        if self._deviation is None:
            self._deviation = seen.features.std(axis=0, dtype=np.float64)
        mean = (seen.cells.astype(np.float32) @ seen.features).astype(np.float64) / seen.cells.sum()
        earlier = [self._means[frame] for frame in seen.remembered if frame in self._means]
        self._means[seen.frame] = mean
        return distance(mean, np.mean(earlier, axis=0), self._deviation) if earlier else None

    def _change(self, seen: Seen) -> float | None:
        before, self._before = self._before, seen.features
        size = float(np.linalg.norm(seen.features))
        if before is None or seen.same or not size:
            return None
        return float(np.linalg.norm(seen.features - before)) / size


def distance(mean: F64, remembered: F64, deviation: F64) -> float:
    """Regularised L2 distance: the root mean square over channels of their differences in deviations.

    mean, remembered, deviation: [channels]. A tenth of the channels' mean variance is added to each one's, so that one
    that hardly varies does not decide.
    """
    variance = deviation**2
    return float(np.sqrt(np.mean((mean - remembered) ** 2 / (variance + REGULARISED * variance.mean() + 1e-12))))


def _separability(seen: Seen, scores: npt.NDArray[np.floating]) -> dict[str, float]:
    auc, found = separability(scores, seen.cells)
    refit_auc, refit_found = separability(left_out_scores(seen.features, seen.cells), seen.cells)
    return {"auc": auc, "precision": found, "refit_auc": refit_auc, "refit_precision": refit_found}
