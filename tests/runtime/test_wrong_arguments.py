"""What a first user of the API passes by mistake: one clear line, and nothing has changed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from masklet import runtime
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import MaskletError, PromptError, SourceError
from masklet.runtime.prompts.prompts import Points
from masklet.runtime.segmentation.image_predictor import ImagePredictor
from masklet.runtime.tracking.video_tracker import VideoTracker
from two_discs import two_discs

FRAMES = two_discs(3, 128, (40, 45, 16), (90, 80, 20))
CLICK = Points.click(40, 45)


@pytest.fixture(scope="module")
def sessions(nano_bundle: Path) -> Sessions:
    return Sessions.open(Bundle.load(nano_bundle), OnnxRuntime(threads=1))


@pytest.mark.parametrize("wrong", [0, -1, "1", 1.0, True, None])
def test_an_id_that_is_no_positive_integer_leaves_the_tracker_as_it_was(sessions: Sessions, wrong: Any) -> None:
    tracker, untouched = VideoTracker(sessions), VideoTracker(sessions)
    tracker.step(FRAMES[0], {1: CLICK})
    untouched.step(FRAMES[0], {1: CLICK})
    with pytest.raises(PromptError, match=r"object id .*: expected a positive integer"):
        tracker.step(FRAMES[1], {wrong: CLICK})
    with pytest.raises(PromptError, match="expected a positive integer"):
        tracker.refine(wrong, CLICK)
    assert tracker.object_ids == [1]
    assert np.array_equal(tracker.step(FRAMES[1]).masks, untouched.step(FRAMES[1]).masks)


def test_numpy_integers_are_ids(sessions: Sessions) -> None:
    result = VideoTracker(sessions).step(FRAMES[0], {np.int64(7): CLICK})  # type: ignore[dict-item]
    assert result.object_ids.tolist() == [7]


@pytest.mark.parametrize("frame", [FRAMES[0].image, "clip.mp4", None])
def test_an_array_is_no_frame(sessions: Sessions, frame: Any) -> None:
    with pytest.raises(MaskletError, match=r"expected a Frame, got \w+; wrap an image as Frame\("):
        VideoTracker(sessions).step(frame)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (CLICK, "expected a mapping of object ids to prompts"),
        ([(1, CLICK)], "expected a mapping of object ids to prompts"),
        ({1: (40, 45)}, "a prompt is Points, Box or Mask, got tuple"),
    ],
)
def test_what_is_no_prompt(sessions: Sessions, prompts: Any, message: str) -> None:
    tracker = VideoTracker(sessions)
    with pytest.raises(PromptError, match=message):
        tracker.step(FRAMES[0], prompts)
    assert tracker.object_ids == []


def test_images_are_arrays_and_choices_are_known(sessions: Sessions) -> None:
    predictor = ImagePredictor(sessions)
    wrong: Any = "truck.jpg"
    with pytest.raises(SourceError, match=r"expected an image as an array uint8\[H, W, 3\] RGB, got str"):
        predictor.set_image(wrong)
    predictor.set_image(FRAMES[0].image)
    choice: Any = "every"
    with pytest.raises(PromptError, match="choice 'every': expected one of auto, single, best, all"):
        predictor.predict(CLICK, choice=choice)


def test_dir_shows_every_public_name() -> None:
    assert set(runtime.__all__) <= set(dir(runtime))
