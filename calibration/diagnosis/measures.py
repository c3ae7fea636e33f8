"""What is measured of an object on a frame, at each position: docs/diagnose.md has every formula."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
from masklet.calibration.diagnosis.attention import Attention, MemoryFrames
from masklet.calibration.diagnosis.observer import Observer
from masklet.calibration.diagnosis.positions import Layout, Position, shrunk
from masklet.calibration.diagnosis.read_out import ReadOut, left_out_scores, precision, roc_auc
from masklet.calibration.scoring.accuracy import region_similarity
from masklet.runtime.bundle.spec import Tensor

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
    change:                     of all features from the frame before, relative; None where the frame itself is the
                                same picture as before, or the position was not observed there.
    """

    auc: float | None = None
    precision: float | None = None
    refit_auc: float | None = None
    refit_precision: float | None = None
    distance: float | None = None
    change: float | None = None


class FrameMeasures(msgspec.Struct, frozen=True):
    """One object on one frame.

    in_sight:       whether the truth has it; None without a truth.
    area:           the share of the frame that it covers, by the truth, else by the model's own mask.
    brightness:     mean of its pixels' brightness there, 0..255.
    j:              region similarity of the shown mask with the true one; None without a truth.
    best_candidate: that of the best of the decoder's candidate masks, at their own size.
    score:          how sure the model is that the object is in sight, 0..1.
    predicted_iou:  what the decoder expects of its mask.
    pointer_cosine: of the object pointer with that of the prompted frame.
    positions:      by the position's name.
    """

    frame: int
    object_id: int
    prompted: bool
    in_sight: bool | None
    area: float
    brightness: float
    j: float | None
    best_candidate: float | None
    score: float
    predicted_iou: float
    pointer_cosine: float
    positions: dict[str, Reading]
    attention: Attention | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """A frame as it was given, with what came of it. truth: None where there is none."""

    frame: int
    prompted: bool
    grey: npt.NDArray[np.uint8]
    truth: BoolArray | None
    found: BoolArray

    @property
    def mask(self) -> BoolArray:
        """Where the object is, as far as is known."""
        return self.found if self.truth is None else self.truth


class ObjectMeasures:
    """The measures of one object through a clip, frame by frame; keeps what was fitted and what is remembered."""

    def __init__(self, layout: Layout, object_id: int) -> None:
        self._layout, self._object_id = layout, object_id
        self._read_outs: dict[Position, ReadOut] = {}
        self._deviations: dict[Position, F64] = {}
        self._means: dict[Position, dict[int, F64]] = {position: {} for position in Position}
        self._memories = MemoryFrames(layout)
        self._pointer: Tensor | None = None
        self._before: dict[Position, F32] = {}
        self._image: Tensor | None = None

    def see(self, observer: Observer, looked: Looked) -> tuple[FrameMeasures, dict[Position, F32]]:
        """Measure a frame that was just run; also returns the read-outs' scores, [grid, grid] by position."""
        outputs, mask = observer.outputs, looked.mask
        decoded = outputs["mask_decoder"]
        remembered, attention = self._memories.attended(observer)
        same = self._same_picture(observer)
        readings: dict[str, Reading] = {}
        maps: dict[Position, F32] = {}
        for position in Position:
            features = self._layout.features(position, outputs)
            if features is None:
                continue
            cells = self._layout.object_cells(mask, position) if mask.any() else np.zeros(len(features), np.bool_)
            scores = self._scores(position, features, cells, observer, looked.truth is not None)
            distance = self._distance(position, features, cells, looked.frame, remembered)
            change = None if same else self._change(position, features)
            self._before[position] = features
            read = looked.truth is not None and scores is not None and _both_kinds(cells)
            readings[position.value] = Reading(
                **(_separability(features, cells, scores) if read else {}), distance=distance, change=change
            )
            if scores is not None:
                maps[position] = scores.reshape(self._layout.grid_at(position), -1).astype(np.float32)
        self._memories.keep(looked.frame, observer, self._layout.object_cells(mask, Position.MEMORY))
        return self._measures(looked, decoded, readings, attention), maps

    def _scores(
        self, position: Position, features: F32, cells: BoolArray, observer: Observer, fits: bool
    ) -> npt.NDArray[np.floating] | None:
        """What each cell scores: of the mask its logit, else by the read-out, fitted where there is none yet.

        The prompt's attention is fitted on the first frame that is tracked, as memory attention must be: what the
        decoder is told on a prompted frame is in its cells there and on no later one.
        """
        if position is Position.MASK:
            return shrunk(np.asarray(observer.outputs["mask_decoder"]["low_res_mask"][0, 0]), self._layout.grid).ravel()
        fits = fits and not (position is Position.PROMPT and "memory_attention" not in observer.outputs)
        if position not in self._read_outs and fits and _both_kinds(cells):
            self._read_outs[position] = ReadOut.fit(features, cells)
        return self._read_outs[position].scores(features) if position in self._read_outs else None

    def _distance(
        self, position: Position, features: F32, cells: BoolArray, frame: int, remembered: Mapping[int, object]
    ) -> float | None:
        """The distance from what is remembered; the mask has none, its pointer is compared instead."""
        if position is Position.MASK or not cells.any():
            return None
        if position not in self._deviations:
            self._deviations[position] = features.std(axis=0, dtype=np.float64)
        mean, means = features[cells].mean(axis=0, dtype=np.float64), self._means[position]
        earlier = [means[each] for each in remembered if each in means]
        means[frame] = mean
        return distance(mean, np.mean(earlier, axis=0), self._deviations[position]) if earlier else None

    def _same_picture(self, observer: Observer) -> bool:
        """Whether the encoder was given the picture that it was given before."""
        image, before = observer.feeds["image_encoder"]["image"], self._image
        self._image = np.array(image)
        return before is not None and np.array_equal(image, before)

    def _change(self, position: Position, features: F32) -> float | None:
        """How much features differ from the last ones, relative; None of features that are nothing."""
        before, size = self._before.get(position), float(np.linalg.norm(features))
        return None if before is None or not size else float(np.linalg.norm(features - before)) / size

    def _measures(
        self, looked: Looked, decoded: Mapping[str, Tensor], readings: dict[str, Reading], attention: Attention | None
    ) -> FrameMeasures:
        pointer = np.asarray(decoded["pointer"], np.float64)[0]
        if self._pointer is None:
            self._pointer = pointer
        mask, truth = looked.mask, looked.truth
        return FrameMeasures(
            frame=looked.frame,
            object_id=self._object_id,
            prompted=looked.prompted,
            in_sight=None if truth is None else bool(truth.any()),
            area=float(mask.mean()),
            brightness=float(looked.grey[mask].mean()) if mask.any() else float(looked.grey.mean()),
            j=None if truth is None else region_similarity(looked.found, truth),
            best_candidate=None if truth is None else _best_candidate(decoded["candidate_masks"][0], truth),
            score=float(1 / (1 + np.exp(-np.float64(decoded["object_score"][0, 0])))),
            predicted_iou=float(decoded["iou"][0, 0]),
            pointer_cosine=cosine(pointer, self._pointer),
            positions=readings,
            attention=attention,
        )


def distance(mean: F64, remembered: F64, deviation: F64) -> float:
    """Regularised L2 distance: the root mean square over channels of their differences in deviations.

    mean, remembered, deviation: [channels]. A tenth of the channels' mean variance is added to each one's, so that one
    that hardly varies does not decide.
    """
    variance = deviation**2
    return float(np.sqrt(np.mean((mean - remembered) ** 2 / (variance + REGULARISED * variance.mean() + 1e-12))))


def cosine(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> float:
    """Cosine of the angle between two vectors; 0 where one of them is zero."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0


def _separability(features: F32, cells: BoolArray, scores: npt.NDArray[np.floating]) -> dict[str, float]:
    left_out = left_out_scores(features, cells)
    return {
        "auc": roc_auc(scores, cells),
        "precision": precision(scores, cells),
        "refit_auc": roc_auc(left_out, cells),
        "refit_precision": precision(left_out, cells),
    }


def _both_kinds(cells: BoolArray) -> bool:
    return bool(cells.any() and not cells.all())


def _best_candidate(candidates: Tensor, truth: BoolArray) -> float:
    small = shrunk(truth.astype(np.float32), candidates.shape[-1]) >= 0.5
    return max(region_similarity(np.asarray(each) > 0, small) for each in candidates)
