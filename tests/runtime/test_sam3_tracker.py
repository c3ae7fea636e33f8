"""SAM 3's tracker by VideoTracker and ImagePredictor, as they serve SAM 2, against transformers' own loop."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from masklet.export.families.sam3 import FAMILY
from masklet.runtime.image import ImagePredictor
from masklet.runtime.prompts import Box, Points, Prompt
from masklet.runtime.results import Frame
from masklet.runtime.session import Sessions
from masklet.runtime.video import TrackerOptions, VideoTracker
from reference_video import MetaSam3Tracker, ReferenceTracker, agreement
from sam3_checkpoints import SIDE, random_sam3, tracker_config
from torch_sessions import torch_sessions
from two_discs import disc, two_discs

AS_REFERENCE = TrackerOptions(fill_hole_area=0, pin_corrections=False)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam3_tracker")
    random_sam3(tracker_config()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sessions(checkpoint: Path) -> Sessions:
    return torch_sessions(FAMILY, FAMILY.load(str(checkpoint), None))


def scene(count: int) -> list[Frame]:
    return two_discs(count, SIDE, (35, 40, 14), (80, 70, 18))


GIVEN: dict[int, dict[int, Prompt]] = {
    0: {1: Points(np.array([[35, 40], [80, 70]], np.float32), np.array([1, 0])), 2: Box(60, 50, 100, 90)},
    4: {3: disc(SIDE, 50, 50, 16)},
}
CORRECTED: dict[int, tuple[int, Prompt]] = {6: (1, Points.click(60, 60, positive=False))}


def compare(sessions: Sessions, checkpoint: Path, frames: int, deviates: frozenset[str] = frozenset()) -> list[float]:
    """Mask IoU of every object on every frame, between our tracker and the reference."""
    ours = VideoTracker(sessions, AS_REFERENCE)
    theirs = ReferenceTracker(str(checkpoint), deviates, MetaSam3Tracker)
    return agreement(ours, theirs, scene(frames), GIVEN, CORRECTED)


def test_clicks_boxes_masks_and_corrections_are_tracked_as_in_the_reference(
    sessions: Sessions, checkpoint: Path
) -> None:
    ious = compare(sessions, checkpoint, 12)
    assert len(ious) == 4 * 2 + 8 * 3 + 3
    assert np.mean(ious) >= 0.999
    assert min(ious) >= 0.99


def test_masks_are_enlarged_for_memory_at_once(sessions: Sessions, checkpoint: Path) -> None:
    """transformers does it by way of the image's size, which is no multiple of theirs; the loop then leaves ours."""
    as_meta = np.mean(compare(sessions, checkpoint, 8))
    as_transformers = np.mean(compare(sessions, checkpoint, 8, frozenset({"memory_from_low_res"})))
    assert as_meta >= 0.999
    assert as_transformers < as_meta


def test_images_take_points_boxes_and_masks(sessions: Sessions) -> None:
    """A mask's logits have a quarter of 16 a cell, whatever the image's size is."""
    predictor = ImagePredictor(sessions)
    predictor.set_image(scene(1)[0].image)
    found = predictor.predict([Points.click(35, 40), Box(60, 50, 100, 90), disc(SIDE, 50, 50, 16)])
    assert found.masks.shape == (3, 1, SIDE, SIDE)
    assert found.low_res.shape == (3, 1, 32, 32)
    assert found.masks.any(axis=(1, 2, 3)).all()
