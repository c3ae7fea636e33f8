"""Finds every mask of an image without a prompt (segment_anything automatic_mask_generator.py).

The decoder runs on a grid of points. Of the three masks for each point those are kept that have a high predicted IoU,
hardly change with the threshold, and do not duplicate a better mask.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import PromptError
from masklet.runtime.pixels.geometry import F32, U8
from masklet.runtime.pixels.nms import nms
from masklet.runtime.pixels.regions import without_small_regions
from masklet.runtime.prompts.prompts import Points
from masklet.runtime.segmentation.crops import Crop, crops, cut_off, point_grid
from masklet.runtime.segmentation.image_predictor import ImagePredictor
from masklet.runtime.segmentation.segments import Segment, last_pixels

Progress = Callable[[int, int], None]  # points done, total points
# Ranges of settings other than "0 or more". Beyond these bounds memory runs out before masks get better.
_RANGES: dict[str, tuple[float, float]] = {
    "points_per_side": (1, 1024),
    "points_per_batch": (1, 1024),
    "crop_layers": (0, 4),
    "crop_overlap_ratio": (0, 0.99),
    "crop_points_downscale": (1, np.inf),
}


@dataclass(frozen=True, slots=True)
class EverythingOptions:
    """The settings of SamAutomaticMaskGenerator, with its defaults.

    points_per_side:      points per side of the grid on the whole image.
    points_per_batch:     points per call of the decoder.
    min_predicted_iou:    masks with a lower predicted IoU are dropped (pred_iou_thresh).
    min_stability:        minimum IoU of the masks at a lower and a higher threshold (stability_score_thresh).
    stability_offset:     offset of these two thresholds from 0, in logits.
    box_overlap:          of two masks of a crop whose boxes overlap more, the worse one is dropped (box_nms_thresh).
    crop_layers:          layers of crops that are segmented in addition to the whole image (crop_n_layers).
    crop_overlap:         of two masks of different crops whose boxes overlap more, the one of the larger crop is
                          dropped (crop_nms_thresh).
    crop_overlap_ratio:   overlap of neighbouring crops as a share of the image's shorter side.
    crop_points_downscale: each layer has this factor fewer points per side.
    min_region_area:      holes and islands with fewer source pixels are removed (min_mask_region_area).
    min_area:             masks with fewer source pixels are dropped.
    Raises PromptError for a value out of its range.
    """

    points_per_side: int = 32
    points_per_batch: int = 64
    min_predicted_iou: float = 0.88
    min_stability: float = 0.95
    stability_offset: float = 1.0
    box_overlap: float = 0.7
    crop_layers: int = 0
    crop_overlap: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_points_downscale: int = 1
    min_region_area: int = 0
    min_area: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, (least, most) = getattr(self, field.name), _RANGES.get(field.name, (0, np.inf))
            if not (np.isfinite(value) and least <= value <= most):
                wanted = f"{least} or more" if np.isinf(most) else f"{least} to {most}"
                raise PromptError(f"{field.name} {value} is out of range; give {wanted}")


def silent(done: int, total: int) -> None:
    """A progress callback that does nothing."""


class Everything:
    """Finds every mask of an image. sessions: as for ImagePredictor."""

    def __init__(self, sessions: Bundle | Sessions, options: EverythingOptions | None = None) -> None:
        self._options = options or EverythingOptions()
        self._predictor = ImagePredictor(sessions, batch=self._options.points_per_batch)

    def segment(self, image: U8, progress: Progress = silent) -> list[Segment]:
        """Every mask of an image [H, W, 3] uint8 RGB, in order of descending predicted IoU."""
        options = self._options
        parts = crops((image.shape[0], image.shape[1]), options.crop_layers, options.crop_overlap_ratio)
        grids = [point_grid(self._side(part), part) for part in parts]
        total, done = sum(map(len, grids)), 0
        segments: list[Segment] = []
        for part, grid in zip(parts, grids, strict=True):
            for step, more in self._crop(image, part, grid):
                done += step
                progress(done, total)
                segments += more
        if len(parts) > 1:  # a small crop shows more detail: its mask wins over the same mask of a larger crop
            segments = _apart(segments, [1 / segment.crop.area for segment in segments], options.crop_overlap)
        if options.min_region_area:
            segments = self._cleaned(segments)
        segments = [segment for segment in segments if segment.area >= options.min_area]
        return sorted(segments, key=lambda segment: -segment.predicted_iou)

    def _side(self, crop: Crop) -> int:
        return max(1, int(self._options.points_per_side / self._options.crop_points_downscale**crop.layer))

    def _crop(self, image: U8, crop: Crop, grid: F32) -> Iterator[tuple[int, list[Segment]]]:
        """Segment one crop. Yields the number of points done, and the masks of the crop with the last one."""
        self._predictor.set_image(np.ascontiguousarray(image[crop.y0 : crop.y1, crop.x0 : crop.x1]))
        image_hw = (image.shape[0], image.shape[1])
        segments: list[Segment] = []
        for start in range(0, len(grid), self._options.points_per_batch):
            points = grid[start : start + self._options.points_per_batch]
            segments += self._batch(points, crop, image_hw)
            yield len(points), []
        yield 0, _apart(segments, [segment.predicted_iou for segment in segments], self._options.box_overlap)

    def _batch(self, points: F32, crop: Crop, image_hw: tuple[int, int]) -> Iterator[Segment]:
        """The masks of a batch of points that pass every filter."""
        masks, ious = self._predictor.decode([Points.click(x, y) for x, y in points.tolist()])
        for row, column in np.argwhere(ious[:, 1:] > self._options.min_predicted_iou).tolist():
            logits = self._predictor.enlarge(masks[row, 1 + column])
            stability = _stability(logits, self._options.stability_offset)
            mask = logits > 0
            if stability < self._options.min_stability or not mask.any():
                continue
            box = last_pixels(mask) + np.array([crop.x0, crop.y0] * 2, np.float32)
            if cut_off(box, crop, image_hw):
                continue
            whole = np.zeros(image_hw, np.bool_)
            whole[crop.y0 : crop.y1, crop.x0 : crop.x1] = mask
            x, y = points[row].tolist()
            yield Segment.of(whole, float(ious[row, 1 + column]), stability, (x + crop.x0, y + crop.y0), crop)

    def _cleaned(self, segments: list[Segment]) -> list[Segment]:
        """Remove small regions, then masks that now duplicate an unchanged one (postprocess_small_regions)."""
        renewed, untouched = [], []
        for segment in segments:
            mask, changed = without_small_regions(segment.mask(), self._options.min_region_area)
            untouched.append(float(not changed))
            renewed.append(segment.with_mask(mask) if changed else segment)
        return _apart(renewed, untouched, max(self._options.box_overlap, self._options.crop_overlap))


def _apart(segments: list[Segment], scores: list[float], threshold: float) -> list[Segment]:
    if not segments:
        return segments
    boxes = np.stack([segment.box_xyxy for segment in segments])
    return [segments[index] for index in nms(boxes, np.array(scores, np.float32), threshold)]


def _stability(logits: F32, offset: float) -> float:
    """Intersection over union of the masks at thresholds of +offset and -offset (amg.py, calculate_stability_score)."""
    outer = int((logits > -offset).sum())
    return int((logits > offset).sum()) / outer if outer else 0.0
