"""VideoTracker against transformers' own loop, frame by frame, and what the loop promises besides."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.session import Feeds, Session
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.errors import PromptError
from masklet.runtime.prompts.prompts import Box, Mask, Points, Prompt
from masklet.runtime.results import Frame
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker
from reference_video import ReferenceTracker, agreement
from two_discs import disc, iou, two_discs

SIDE = 128
AS_REFERENCE = TrackerOptions(fill_hole_area=0, pin_corrections=False)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small gain nothing from a second thread, and two pools on two cores wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def sessions(nano_bundle: Path) -> Sessions:
    return Sessions.open(Bundle.load(nano_bundle), OnnxRuntime(threads=1))


def scene(count: int) -> list[Frame]:
    return two_discs(count, SIDE, (40, 45, 16), (90, 80, 20))


CLICKS = Points(np.array([[40, 45], [90, 80]], np.float32), np.array([1, 0]))
CORRECTION = Points.click(70, 70, positive=False)
GIVEN: dict[int, dict[int, Prompt]] = {
    0: {1: CLICKS, 2: Box(70, 60, 110, 100)},
    5: {3: disc(SIDE, 60, 60, 18)},
    12: {2: Points.click(80, 80)},
}
CORRECTED: dict[int, tuple[int, Prompt]] = {9: (1, CORRECTION)}


def compare(sessions: Sessions, checkpoint: Path, frames: int, deviates: frozenset[str] = frozenset()) -> list[float]:
    """Mask IoU of every object on every frame, between our tracker and the reference."""
    ours, theirs = VideoTracker(sessions, AS_REFERENCE), ReferenceTracker(str(checkpoint), deviates)
    return agreement(ours, theirs, scene(frames), GIVEN, CORRECTED)


def test_the_loop_is_the_references(sessions: Sessions, nano_checkpoint: Path) -> None:
    """18 frames: clicks, a box, an object that joins with a mask, a correction, an object prompted anew."""
    ious = compare(sessions, nano_checkpoint, 18)
    assert len(ious) == 5 * 2 + 13 * 3 + 3
    assert np.mean(ious) >= 0.999
    assert min(ious) >= 0.99


@pytest.mark.parametrize(
    ("rule", "frames"),
    [("single_mask_pointer", 8), ("earlier_logits", 11), ("own_binarisation", 8), ("memory_from_low_res", 8)],
)
def test_where_the_references_differ_we_follow_meta(
    sessions: Sessions, nano_checkpoint: Path, rule: str, frames: int
) -> None:
    """With transformers' rule in place of Meta's the loop leaves ours: the rule matters, and ours is Meta's."""
    as_meta = np.mean(compare(sessions, nano_checkpoint, frames))
    as_transformers = np.mean(compare(sessions, nano_checkpoint, frames, frozenset({rule})))
    assert as_meta >= 0.999
    assert as_transformers < as_meta


def masks_of(sessions: Sessions, options: TrackerOptions, frames: int = 6) -> Tensor:
    tracker = VideoTracker(sessions, options)
    given: dict[int, Prompt] = {1: CLICKS, 2: Box(70, 60, 110, 100)}
    return np.stack([tracker.step(f, given if f.index == 0 else {}).masks for f in scene(frames)])


def test_objects_do_not_depend_on_the_batch(sessions: Sessions) -> None:
    together = masks_of(sessions, TrackerOptions(batch=8))
    alone = masks_of(sessions, TrackerOptions(batch=1))
    assert iou(together, alone) >= 0.9999


def test_an_object_that_joins_leaves_the_others_alone(sessions: Sessions) -> None:
    def first_object(joins: bool) -> list[Tensor]:
        tracker = VideoTracker(sessions)
        given: dict[int, dict[int, Prompt]] = {0: {1: CLICKS}, **({3: {2: disc(SIDE, 60, 60, 18)}} if joins else {})}
        return [tracker.step(f, given.get(f.index)).masks[0] for f in scene(7)]

    assert iou(np.stack(first_object(True)), np.stack(first_object(False))) >= 0.9999


def test_a_removed_object_is_gone_and_its_id_free(sessions: Sessions) -> None:
    tracker = VideoTracker(sessions)
    frames = scene(5)
    tracker.step(frames[0], {1: CLICKS, 2: Box(70, 60, 110, 100)})
    tracker.remove(1)
    assert tracker.step(frames[1]).object_ids.tolist() == [2]
    with pytest.raises(PromptError, match=r"no object 1 is tracked; tracked objects: \[2\]"):
        tracker.remove(1)
    assert tracker.step(frames[2], {1: CLICKS}).object_ids.tolist() == [2, 1]


def test_non_overlapping_masks_share_no_pixel(sessions: Sessions) -> None:
    free = masks_of(sessions, TrackerOptions())
    apart = masks_of(sessions, TrackerOptions(non_overlapping=True))
    assert (free.sum(axis=1) > 1).any()
    assert not (apart.sum(axis=1) > 1).any()


@pytest.mark.parametrize(
    "options",
    [
        TrackerOptions(non_overlapping_memory=True),
        TrackerOptions(fill_hole_area=0),
        TrackerOptions(fill_hole_area=400),
    ],
)
def test_an_option_changes_what_is_tracked(sessions: Sessions, options: TrackerOptions) -> None:
    assert iou(masks_of(sessions, options), masks_of(sessions, TrackerOptions())) < 1.0


@pytest.mark.parametrize("options", [TrackerOptions(pin_corrections=False), TrackerOptions(forget_around_prompts=True)])
def test_what_a_correction_leaves_in_memory_can_be_chosen(sessions: Sessions, options: TrackerOptions) -> None:
    def after(options: TrackerOptions) -> Tensor:
        tracker = VideoTracker(sessions, options)
        for frame in scene(6):
            tracker.step(frame, {1: CLICKS} if frame.index == 0 else {})
        tracker.refine(1, CORRECTION)
        return np.stack([tracker.step(Frame(f.index + 6, 0.0, f.image)).masks for f in scene(3)])

    assert iou(after(options), after(TrackerOptions())) < 1.0


class Counting:
    """A session that counts its calls."""

    def __init__(self, session: Session, calls: dict[str, int]) -> None:
        self._session, self._calls = session, calls

    @property
    def spec(self) -> StageSpec:
        return self._session.spec

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        self._calls[self.spec.name] = self._calls.get(self.spec.name, 0) + 1
        return self._session.run(feeds)

    def close(self) -> None:
        self._session.close()


def test_each_stage_runs_no_more_than_it_must(nano_bundle: Path) -> None:
    calls: dict[str, int] = {}
    wrap: Callable[[Session], Session] = lambda session: Counting(session, calls)  # noqa: E731
    tracker = VideoTracker(Sessions.open(Bundle.load(nano_bundle), wrap=wrap))
    frames = scene(4)
    tracker.step(frames[0])
    assert calls == {}, "a frame without objects costs nothing"
    tracker.step(frames[1], {1: CLICKS, 2: Box(70, 60, 110, 100)})
    assert calls == {"image_encoder": 1, "mask_decoder": 2, "memory_encoder": 2}
    calls.clear()
    tracker.step(frames[2])
    assert calls == {"image_encoder": 1, "memory_attention": 1, "mask_decoder": 1, "memory_encoder": 1}
    calls.clear()
    tracker.refine(1, CORRECTION)
    assert calls == {"memory_attention": 1, "mask_decoder": 1, "memory_encoder": 1}, "features are kept for the frame"


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (Points.click(500, 5), "lies outside the frame of 128x128"),
        (Box(100, 100, 200, 120), "reaches beyond the frame"),
        (Mask(np.ones((64, 64), bool)), "the mask is 64x64 pixels, but the frame is 128x128"),
    ],
)
def test_a_prompt_that_does_not_fit_changes_nothing(sessions: Sessions, prompt: Prompt, message: str) -> None:
    tracker, untouched = VideoTracker(sessions), VideoTracker(sessions)
    frames = scene(3)
    for each in (tracker, untouched):
        each.step(frames[0], {1: CLICKS})
    with pytest.raises(PromptError, match=message):
        tracker.step(frames[1], {1: CLICKS, 2: prompt})
    with pytest.raises(PromptError, match=message):
        tracker.refine(1, prompt)
    assert (tracker.step(frames[1]).masks == untouched.step(frames[1]).masks).all()


def test_a_mask_too_small_for_the_model_is_refused(sessions: Sessions) -> None:
    mask = np.zeros((1000, 1000), bool)
    mask[3, 3] = True
    with pytest.raises(PromptError, match="its mask of 1 pixels vanishes at the model's 128 x 128"):
        VideoTracker(sessions).step(Frame(0, 0.0, np.zeros((1000, 1000, 3), np.uint8)), {1: Mask(mask)})


def test_refining_before_a_frame_says_so(sessions: Sessions) -> None:
    with pytest.raises(PromptError, match="no frame was given yet"):
        VideoTracker(sessions).refine(1, CLICKS)
