"""Frames that are no squares: the loop against transformers' modules at that size, tokens, images, given masks."""

from pathlib import Path

import numpy as np
import pytest
from made_once import made_once
from masklet.export.families.sam2 import FAMILY
from masklet.export.family import Form
from masklet.export.pipeline import export_bundle
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import ExportError
from masklet.runtime.prompts.prompts import Box, Mask, Points, Prompt
from masklet.runtime.segmentation.image_predictor import ImagePredictor
from masklet.runtime.tracking.memory_detail import MemoryDetail
from masklet.runtime.tracking.memory_limits import MemoryLimits
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker
from reference_video import ReferenceTracker, agreement
from two_discs import iou, two_discs

HEIGHT, WIDTH = 96, 160
FRAMES = two_discs(14, WIDTH, (40, 40, 16), (110, 60, 18), height=HEIGHT)
GIVEN: dict[int, dict[int, Prompt]] = {
    0: {1: Points(np.array([[40, 40], [110, 60]], np.float32), np.array([1, 0])), 2: Box(90, 40, 130, 80)},
    7: {3: Points.click(70, 50)},
}
CORRECTED: dict[int, tuple[int, Prompt]] = {9: (1, Points.click(80, 70, positive=False))}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, nano_checkpoint: Path) -> Path:
    """Variants for 160x96 px, with whole memories and with memories of tokens."""

    def export(path: Path) -> None:
        export_bundle(str(nano_checkpoint), path, [Form((HEIGHT, WIDTH)), Form((HEIGHT, WIDTH), True)])

    return made_once(tmp_path_factory, "aspect.bundle", export)


def opened(bundle: Path, form: str = "160x96") -> Sessions:
    return Sessions.open(Bundle.load(bundle, variant=form), OnnxRuntime(threads=1))


def test_the_loop_is_the_references(bundle: Path, nano_checkpoint: Path) -> None:
    """Clicks, a box, an object that joins, a correction."""
    ours = VideoTracker(opened(bundle), TrackerOptions(fill_hole_area=0, pin_corrections=False))
    theirs = ReferenceTracker(FAMILY.load(str(nano_checkpoint), (HEIGHT, WIDTH)))
    ious = agreement(ours, theirs, FRAMES, GIVEN, CORRECTED)
    assert len(ious) == 7 * 2 + 7 * 3 + 3
    assert np.mean(ious) >= 0.999
    assert min(ious) >= 0.99


def test_every_cell_on_its_own_tracks_as_whole_memories(bundle: Path) -> None:
    limits = MemoryLimits(detail=MemoryDetail.parse("whole"))
    whole = VideoTracker(opened(bundle))
    tokens = VideoTracker(opened(bundle, "160x96-foveated"), TrackerOptions(limits=limits))
    for frame in FRAMES:
        one, other = (tracker.step(frame, GIVEN.get(frame.index)).masks for tracker in (whole, tokens))
        assert min(iou(a, b) for a, b in zip(one, other, strict=True)) > 0.999


def test_a_mask_is_given_and_an_image_segmented(bundle: Path) -> None:
    disc = np.hypot(*(np.mgrid[:HEIGHT, :WIDTH] - np.array([40, 40])[:, None, None])) < 16
    sessions = opened(bundle)
    tracked = VideoTracker(sessions, TrackerOptions(fill_hole_area=0)).step(FRAMES[0], {1: Mask(disc)})
    assert iou(tracked.masks[0], disc) > 0.9
    predictor = ImagePredictor(sessions)
    predictor.set_image(FRAMES[0].image)
    assert predictor.predict(Points.click(40, 40)).masks.shape[-2:] == (HEIGHT, WIDTH)
    tracker = VideoTracker(sessions, TrackerOptions(fill_hole_area=0))
    logits = predictor.predict(Box(90, 40, 130, 80), choice="single").low_res
    clicked = tracker.advance(FRAMES[0], {1: Box(90, 40, 130, 80)})[0].low_res
    assert logits.shape[-2:] == clicked.shape[-2:] == (HEIGHT // 4, WIDTH // 4)


@pytest.mark.parametrize(
    ("hw", "message"),
    [
        ((100, 160), "image size 160x100 is not a multiple of 32; the nearest is 160x96"),
        ((8, 64), "the nearest is 64x32"),
    ],
)
def test_a_size_that_the_strides_do_not_allow(nano_checkpoint: Path, hw: tuple[int, int], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        FAMILY.load(str(nano_checkpoint), hw)
