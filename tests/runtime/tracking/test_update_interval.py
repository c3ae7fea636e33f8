"""Objects that move as expected are segmented every n-th frame, and moved along in between."""

from pathlib import Path

import numpy as np
import pytest
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.session import Feeds, Session, SessionAround
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import PolicyError, PromptError
from masklet.runtime.prompts.prompts import Points, Prompt
from masklet.runtime.results import Frame
from masklet.runtime.sinks.json_lines import object_records
from masklet.runtime.tracking.update_interval import UpdateInterval
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker
from two_discs import iou

SIDE = 64


def blob(x: float, y: float, radius: float) -> Tensor:
    """Logits [1, h, w] of a disc: how far each pixel's middle lies within it."""
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    logits: Tensor = (radius - np.hypot(columns - x, rows - y)).astype(np.float32)[None]
    return logits


@pytest.mark.parametrize(("speed", "growth"), [((1.5, -0.75), 0), ((0, 0), 0.25), ((0, 0), 0)])
def test_a_mask_is_moved_and_scaled_with_its_object(speed: tuple[float, float], growth: float) -> None:
    updates = UpdateInterval(4)

    def true(t: int) -> Tensor:
        return blob(20 + speed[0] * t, 40 + speed[1] * t, 10 + growth * t)

    for t in range(17):
        waiting = updates.waiting([1], t)
        if t < 8 or t % 4 == 0:
            assert t % 4 or not waiting
            updates.note(1, t, true(t), 0.9)
        else:
            assert set(waiting) == {1}
            assert iou(waiting[1].moved(t)[0] > 0, true(t)[0] > 0) > 0.8
            assert waiting[1].score == 0.9


def test_an_object_that_jumps_or_is_out_of_sight_does_not_wait() -> None:
    updates = UpdateInterval(3)
    for t, at in enumerate((20, 21, 22)):
        updates.note(1, t, blob(at, 30, 8), 0.9)
        updates.note(2, t, blob(at, 30, 8), 0.9)
    assert set(updates.waiting([1, 2], 4)) == {1, 2}
    updates.note(1, 3, blob(45, 30, 8), 0.9)
    updates.note(2, 3, np.full((1, SIDE, SIDE), -9, np.float32), 0.1)
    assert not updates.waiting([1, 2], 4)
    updates.note(2, 4, blob(46, 30, 8), 0.9)  # back: its motion starts anew
    assert not updates.waiting([2], 5)


def test_all_objects_wait_for_the_same_frames() -> None:
    updates = UpdateInterval(3)
    for t in range(8):
        for object_id, joins in ((1, 0), (2, 2)):
            if t >= joins and object_id not in updates.waiting([object_id], t):
                updates.note(object_id, t, blob(20, 30, 8), 0.9)
    assert set(updates.waiting([1, 2], 7)) == set(updates.waiting([1, 2], 8)) == {1, 2}
    assert not updates.waiting([1, 2], 9)


class Counted(SessionAround):
    """Notes the stages that run."""

    def __init__(self, session: Session, ran: list[str]) -> None:
        super().__init__(session)
        self._ran = ran

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        self._ran.append(self.spec.name)
        return super().run(feeds)


def clip(count: int) -> list[Frame]:
    """A red square that drifts to the right by a pixel a frame, on grey with some grain."""
    rng, frames = np.random.default_rng(0), []
    for t in range(count):
        image = rng.normal(110, 6, (128, 128, 3)).clip(0, 255).astype(np.uint8)
        image[40:84, 30 + t : 74 + t] = (220, 30, 40)
        frames.append(Frame(t, t / 30, image))
    return frames


def click(t: int) -> Points:
    return Points.click(52 + t, 62)


def test_a_tracker_runs_no_stage_while_all_objects_wait(trained_bundle: Path) -> None:
    ran: list[str] = []
    sessions = Sessions.open(Bundle.load(trained_bundle), OnnxRuntime(1), lambda s: Counted(s, ran))
    every, some = VideoTracker(sessions), VideoTracker(sessions, TrackerOptions(update_interval=3))
    stale = []
    for frame in clip(16):
        prompts: dict[int, Prompt] = {1: click(0)} if frame.index == 0 else {}
        wanted = every.step(frame, prompts)
        ran.clear()
        found = some.step(frame, prompts)
        age = 0 if found.stale is None else int(found.stale[0])
        stale.append(age)
        assert bool(ran) == (age == 0)
        assert iou(found.masks[0], wanted.masks[0]) > 0.85
        assert object_records(found)[0].get("stale", 0) == age
    assert stale[4:] == [t % 3 for t in range(4, 16)]


def test_a_correction_and_a_prompt_count_at_once(trained_bundle: Path) -> None:
    tracker = VideoTracker(Bundle.load(trained_bundle), TrackerOptions(update_interval=4))
    frames = clip(12)
    for frame in frames[:10]:
        result = tracker.step(frame, {1: click(0)} if frame.index == 0 else {})
    assert result.stale is not None
    refined = tracker.refine(1, click(9))
    assert refined.stale is None
    assert iou(refined.masks[0], result.masks[0]) > 0.8
    assert tracker.step(frames[10], {1: click(10)}).stale is None
    tracker.remove(1)
    assert len(tracker.step(frames[11])) == 0


def test_what_does_not_go_together(trained_bundle: Path) -> None:
    with pytest.raises(PromptError, match="give 1 or more"):
        VideoTracker(Bundle.load(trained_bundle), TrackerOptions(update_interval=0))
    with pytest.raises(PolicyError, match="cannot serve"):
        VideoTracker(Bundle.load(trained_bundle), TrackerOptions(update_interval=2), memory="samurai")
