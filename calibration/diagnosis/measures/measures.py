"""What is measured of an object on a frame, at each position: docs/diagnose.md has every formula."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
from masklet.calibration.diagnosis.measures.attention import Attention, MemoryFrames
from masklet.calibration.diagnosis.measures.readings import Reader, Reading, Seen
from masklet.calibration.diagnosis.observer.observer import Observer
from masklet.calibration.diagnosis.observer.positions import Layout, Position, shrunk
from masklet.calibration.scoring.accuracy import region_similarity
from masklet.runtime.bundle.spec import Tensor

F32 = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


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
    """The measures of one object through a clip, frame by frame."""

    def __init__(self, layout: Layout, object_id: int) -> None:
        self._layout, self._object_id = layout, object_id
        self._readers = {position: Reader() for position in Position}
        self._memories = MemoryFrames(layout)
        self._pointer: Tensor | None = None
        self._image: Tensor | None = None

    def see(self, observer: Observer, looked: Looked) -> tuple[FrameMeasures, dict[Position, F32]]:
        """Measure a frame that was just run; also returns what cells score, [rows, columns] by position."""
        remembered, attention = self._memories.attended(observer)
        same = self._same_picture(observer)
        readings: dict[str, Reading] = {}
        maps: dict[Position, F32] = {}
        cells = {grid: self._layout.object_cells(looked.mask, grid) for grid in self._layout.grids}
        for position, reader in self._readers.items():
            features = self._layout.features(position, observer.outputs)
            if features is None:
                continue
            grid = self._layout.grid_at(position)
            own = self._layout.logits(observer.feeds, observer.outputs) if position is Position.MASK else None
            seen = Seen(looked.frame, features, cells[grid], own, list(remembered), looked.truth is not None, same)
            readings[position.value], scores = reader.read(seen)
            if scores is not None:
                maps[position] = scores.reshape(grid).astype(np.float32)
        self._memories.keep(looked.frame, observer, cells[self._layout.memory_grid])
        return self._measures(looked, observer.outputs["mask_decoder"], readings, attention), maps

    def _same_picture(self, observer: Observer) -> bool:
        """Whether the encoder was given the picture that it was given before."""
        image, before = observer.feeds["image_encoder"]["image"], self._image
        self._image = np.array(image)
        return before is not None and np.array_equal(image, before)

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
            j=None if truth is None else float(region_similarity(looked.found, truth)),
            best_candidate=None if truth is None else _best_candidate(decoded["candidate_masks"][0], truth),
            score=float(1 / (1 + np.exp(-np.float64(decoded["object_score"][0, 0])))),
            predicted_iou=float(decoded["iou"][0, 0]),
            pointer_cosine=cosine(pointer, self._pointer),
            positions=readings,
            attention=attention,
        )


def cosine(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> float:
    """Cosine of the angle between two vectors; 0 where one of them is zero."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0


def _best_candidate(candidates: Tensor, truth: BoolArray) -> float:
    rows, columns = candidates.shape[-2:]
    small = shrunk(truth.astype(np.float32), (rows, columns)) >= 0.5
    return max(float(region_similarity(np.asarray(each) > 0, small)) for each in candidates)
