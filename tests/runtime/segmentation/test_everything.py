"""Automatic masks against SAM's algorithm as transformers has it, on the same random weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import PromptError
from masklet.runtime.pixels.nms import nms
from masklet.runtime.pixels.regions import without_small_regions
from masklet.runtime.segmentation.crops import Crop, crops, cut_off, point_grid
from masklet.runtime.segmentation.everything import Everything, EverythingOptions
from masklet.runtime.segmentation.segments import coco_dataset, picture
from pycocotools.coco import COCO
from transformers import SamModel
from transformers.models.sam import image_processing_pil_sam as amg

SIDE = 128
HW = (180, 250)
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
OPTIONS = EverythingOptions(
    points_per_side=8, points_per_batch=16, min_predicted_iou=0.3, min_stability=0.3, box_overlap=1.0
)


@pytest.fixture(scope="module")
def sessions(sam_bundle: Path) -> Sessions:
    return Sessions.open(Bundle.load(sam_bundle))


@pytest.fixture(scope="module")
def image() -> Any:
    rng = np.random.default_rng(5)
    coarse = torch.from_numpy(rng.uniform(-60, 315, (1, 3, 7, 9)))
    smooth = F.interpolate(coarse, size=HW, mode="bicubic")
    return smooth[0].permute(1, 2, 0).clamp(0, 255).numpy().astype(np.uint8)


class Reference:
    """SAM's own loop, from transformers' model and the pieces of its mask generation; NMS written out."""

    def __init__(self, checkpoint: Path, options: EverythingOptions) -> None:
        self.model = SamModel.from_pretrained(checkpoint).eval()
        self.options = options

    def masks(self, image: Any) -> Any:
        """Returns [N, H, W] bool."""
        height, width = image.shape[:2]
        boxes, layers = amg._generate_per_layer_crops(
            self.options.crop_layers, self.options.crop_overlap_ratio, (height, width)
        )
        found: list[tuple[Any, Any, float, float]] = []
        for box, layer in zip(boxes, layers, strict=True):
            found += self._crop(image, box, layer)
        if len(boxes) > 1:
            found = self._apart(found, 3, self.options.crop_overlap)
        return np.stack([mask for mask, *_ in found])

    def _crop(self, image: Any, crop: Any, layer: int) -> Any:
        x0, y0, x1, y1 = crop
        pixels = image[y0:y1, x0:x1]
        points = amg._build_point_grid(int(self.options.points_per_side / self.options.crop_points_downscale**layer))
        found = []
        for mask, iou in self._predict(pixels, points * [x1 - x0, y1 - y0]):
            if iou <= self.options.min_predicted_iou:
                continue
            stability = amg._compute_stability_score(mask[None], 0, self.options.stability_offset)[0]
            if stability < self.options.min_stability:
                continue
            box = amg._batched_mask_to_box((mask > 0)[None])
            if amg._is_box_near_crop_edge(box, [x0, y0, x1, y1], [0, 0, image.shape[1], image.shape[0]])[0]:
                continue
            whole = np.zeros(image.shape[:2], bool)
            whole[y0:y1, x0:x1] = (mask > 0).numpy()
            found.append(
                (whole, box[0].float() + torch.tensor([x0, y0, x0, y0]), float(iou), 1 / ((x1 - x0) * (y1 - y0)))
            )
        return self._apart(found, 2, self.options.box_overlap)

    def _predict(self, pixels: Any, points: Any) -> Any:
        scale = SIDE / max(pixels.shape[:2])
        covered = [int(length * scale + 0.5) for length in pixels.shape[:2]]
        chw = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float()
        small = F.interpolate(chw, size=covered, mode="bilinear", antialias=True).round()[0].permute(1, 2, 0)
        normal = ((small / 255 - MEAN) / STD).permute(2, 0, 1)[None]
        padded = F.pad(normal, (0, SIDE - covered[1], 0, SIDE - covered[0]))
        ratio = np.array([covered[1] / pixels.shape[1], covered[0] / pixels.shape[0]])
        given = torch.from_numpy(points * ratio).float()[None, :, None]
        with torch.inference_mode():
            out = self.model(pixel_values=padded, input_points=given, multimask_output=True)
            square = F.interpolate(out.pred_masks[0], size=(SIDE, SIDE), mode="bilinear", align_corners=False)
            cut = square[..., : covered[0], : covered[1]]
            masks = F.interpolate(cut, size=pixels.shape[:2], mode="bilinear", align_corners=False)
        return zip(masks.flatten(0, 1), out.iou_scores[0].flatten().tolist(), strict=True)

    @staticmethod
    def _apart(found: Any, key: int, threshold: float) -> Any:
        kept: list[Any] = []
        for item in sorted(found, key=lambda entry: -entry[key]):
            if all(_box_iou(item[1], other[1]) <= threshold for other in kept):
                kept.append(item)
        return kept


def _box_iou(a: Any, b: Any) -> float:
    width, height = (min(a[2 + i], b[2 + i]) - max(a[i], b[i]) for i in (0, 1))
    shared = max(float(width), 0) * max(float(height), 0)
    area = [float((box[2] - box[0]) * (box[3] - box[1])) for box in (a, b)]
    return shared / (sum(area) - shared)


def mask_ious(first: Any, second: Any) -> Any:
    flat = [masks.reshape(len(masks), -1).astype(np.float64) for masks in (first, second)]
    shared = flat[0] @ flat[1].T
    return shared / (flat[0].sum(1)[:, None] + flat[1].sum(1) - shared)


@pytest.mark.parametrize("layers", [0, 1])
def test_masks_are_those_of_the_reference(sessions: Sessions, sam_checkpoint: Path, image: Any, layers: int) -> None:
    # Random masks reach from edge to edge, so that suppression by boxes would leave one; it has a test of its own.
    options = replace(OPTIONS, crop_layers=layers, crop_points_downscale=2, box_overlap=1.0, crop_overlap=1.0)
    want = Reference(sam_checkpoint, options).masks(image)
    got = np.stack([segment.mask() for segment in Everything(sessions, options).segment(image)])
    assert len(want) > 10
    assert abs(len(got) - len(want)) <= 0.02 * len(want)
    matched = mask_ious(want, got).max(axis=1)
    assert matched.mean() >= 0.99
    assert (matched > 0.95).mean() > 0.97


def test_a_dataset_that_pycocotools_loads(sessions: Sessions, image: Any, tmp_path: Path) -> None:
    import json

    found = Everything(sessions, OPTIONS).segment(image)
    file = tmp_path / "masks.json"
    file.write_text(json.dumps(coco_dataset(found, "truck.jpg", HW)))
    coco = COCO(str(file))
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert len(annotations) == len(found)
    for annotation, segment in zip(annotations, found, strict=True):
        mask = coco.annToMask(annotation).astype(bool)
        assert np.array_equal(mask, segment.mask())
        assert annotation["area"] == mask.sum()
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        x, y, width, height = annotation["bbox"]
        assert (x, y, x + width, y + height) == (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    drawn = picture(image, found)
    covered = np.any([segment.mask() for segment in found], axis=0)
    assert np.array_equal(drawn[~covered], image[~covered])
    assert (drawn != image).any(axis=2)[covered].mean() > 0.9


def test_filters_by_area_and_by_batch(sessions: Sessions, image: Any) -> None:
    every = Everything(sessions, OPTIONS).segment(image)
    large = Everything(sessions, replace(OPTIONS, min_area=2000, points_per_batch=7)).segment(image)
    assert [s.area for s in large] == [s.area for s in every if s.area >= 2000]
    assert [s.predicted_iou for s in every] == sorted((s.predicted_iou for s in every), reverse=True)
    seen: list[tuple[int, int]] = []
    Everything(sessions, OPTIONS).segment(image, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (64, 64)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_small_regions_are_removed_and_copies_go(sessions: Sessions, image: Any) -> None:
    found = Everything(sessions, replace(OPTIONS, min_region_area=400, box_overlap=0.7)).segment(image)
    assert found
    for segment in found:
        assert not without_small_regions(segment.mask(), 400)[1] or segment.area < 400


@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize("hw", [HW, (1200, 1800), (64, 40)])
def test_crops_and_points_are_those_of_the_reference(hw: tuple[int, int], layers: int) -> None:
    boxes, depths = amg._generate_per_layer_crops(layers, 512 / 1500, hw)
    got = crops(hw, layers, 512 / 1500)
    assert [[c.x0, c.y0, c.x1, c.y1] for c in got] == [list(box) for box in boxes]
    assert [c.layer for c in got] == list(depths)
    want = amg._build_point_grid(5) * [hw[1], hw[0]]
    np.testing.assert_allclose(point_grid(5, got[0]), want, rtol=1e-6)


def test_masks_cut_off_by_their_crop_are_known() -> None:
    rng = np.random.default_rng(0)
    crop, hw = Crop(100, 0, 300, 200, 1), (400, 500)
    for _ in range(200):
        low, high = np.sort(rng.integers(0, 200, (2, 2)), axis=0)
        box = torch.tensor([[low[0], low[1], high[0], high[1]]])
        want = amg._is_box_near_crop_edge(box, [100, 0, 300, 200], [0, 0, 500, 400])[0]
        placed = np.array([low[0] + 100, low[1], high[0] + 100, high[1]], np.float32)
        assert cut_off(placed, crop, hw) == bool(want)


def test_nms_against_its_definition() -> None:
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 50, (80, 2))
    boxes = np.concatenate([low, low + rng.uniform(0, 40, (80, 2))], axis=1).astype(np.float32)
    scores = rng.permutation(80).astype(np.float32)
    kept: list[int] = []
    for index in np.argsort(-scores):
        if all(_box_iou(boxes[index], boxes[other]) <= 0.4 for other in kept):
            kept.append(int(index))
    assert nms(boxes, scores, 0.4).tolist() == kept
    assert nms(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 0.5).tolist() == []


def test_small_regions() -> None:
    mask = np.zeros((30, 30), bool)
    mask[2:20, 2:20] = True
    mask[5:7, 5:7] = False  # a hole of 4
    mask[10:14, 10:14] = False  # one of 16
    mask[25:27, 25:27] = True  # an island of 4
    cleaned, changed = without_small_regions(mask, 10)
    want = mask.copy()
    want[5:7, 5:7], want[25:27, 25:27] = True, False
    assert changed
    assert np.array_equal(cleaned, want)
    same, unchanged = without_small_regions(want, 10)
    assert np.array_equal(same, want)
    assert not unchanged
    only, _ = without_small_regions(mask[24:, 24:], 10)
    assert only.sum() == 4, "the largest island stays"


@pytest.mark.parametrize(
    "change",
    [{"points_per_side": 0}, {"min_area": -1}, {"min_stability": float("nan")}, {"crop_layers": 9}],
    ids=str,
)
def test_settings_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(PromptError, match=next(iter(change))):
        EverythingOptions(**change)
