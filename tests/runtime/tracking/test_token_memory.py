"""Trackers whose memories are sets of tokens: whole ones, limits, states, corrections, several objects."""

from pathlib import Path

import numpy as np
import pytest
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.session import Feeds, Session, SessionAround
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import StateError
from masklet.runtime.prompts.prompts import Box, Points, Prompt
from masklet.runtime.tracking.memory_detail import MemoryDetail
from masklet.runtime.tracking.memory_limits import MemoryLimits
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker
from two_discs import disc, iou, two_discs

FRAMES = two_discs(14, 128, (40, 45, 16), (90, 80, 20))
PROMPTS: dict[int, dict[int, Prompt]] = {
    0: {1: Points.click(40, 45), 2: Box(70, 60, 110, 100)},
    5: {3: disc(128, 60, 60, 18)},
}


class Watched(SessionAround):
    """Notes the feeds of memory attention."""

    calls: list[Feeds]

    def __init__(self, session: Session, calls: list[Feeds]) -> None:
        super().__init__(session)
        self.calls = calls

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        if self.spec.name == "memory_attention":
            self.calls.append(dict(feeds))
        return super().run(feeds)


def opened(bundle: Path, form: str, calls: list[Feeds] | None = None) -> Sessions:
    loaded = Bundle.load(bundle, variant=form, check_hashes=False)
    return Sessions.open(loaded, OnnxRuntime(1), None if calls is None else lambda s: Watched(s, calls))


def tracker(sessions: Sessions, detail: str | None = None, frames: int | None = None) -> VideoTracker:
    limits = MemoryLimits(frames, None, MemoryDetail.parse(detail) if detail else None)
    return VideoTracker(sessions, TrackerOptions(limits=limits))


def follow(tracker: VideoTracker, correct: bool = True) -> list[Tensor]:
    masks = []
    for frame in FRAMES:
        result = tracker.step(frame, PROMPTS.get(frame.index))
        if correct and frame.index == 8:
            result = tracker.refine(1, Points.click(70, 70, positive=False))
        masks.append(result.masks)
    return masks


def test_every_cell_on_its_own_tracks_as_whole_memories(variants_bundle: Path) -> None:
    whole = follow(tracker(opened(variants_bundle, "128")))
    tokens = follow(tracker(opened(variants_bundle, "128-foveated"), "whole"))
    assert min(iou(a, b) for x, y in zip(whole, tokens, strict=True) for a, b in zip(x, y, strict=True)) > 0.999


@pytest.mark.parametrize(("detail", "tokens"), [(None, 24), ("foveated:20", 20), ("pooled:2", 16), ("whole", 64)])
def test_all_memories_have_as_many_tokens_as_asked_for(variants_bundle: Path, detail: str | None, tokens: int) -> None:
    calls: list[Feeds] = []
    follow(tracker(opened(variants_bundle, "128-foveated", calls), detail))
    assert {feeds["memory"].shape[2] for feeds in calls} == {tokens}
    assert all(feeds["memory_place"].shape == feeds["memory"].shape[:3] for feeds in calls)
    assert max(len(feeds["memory"]) for feeds in calls) > 1  # several objects share a call


def test_recent_frames_are_as_many_as_asked_for(variants_bundle: Path) -> None:
    calls: list[Feeds] = []
    follow(tracker(opened(variants_bundle, "128-foveated", calls), frames=2), correct=False)
    assert max(feeds["memory"].shape[1] for feeds in calls) == 3
    assert {int(row) for feeds in calls for row in feeds["memory_time"].ravel()} == {0, 1, 6}


def test_a_state_goes_on_as_it_would_have(variants_bundle: Path) -> None:
    sessions = opened(variants_bundle, "128-foveated")
    whole, broken, later = tracker(sessions), tracker(sessions), tracker(sessions)
    wanted = follow(whole, correct=False)
    for frame in FRAMES[:9]:
        broken.step(frame, PROMPTS.get(frame.index))
    later.restore(broken.snapshot())
    for frame, masks in zip(FRAMES[9:], wanted[9:], strict=True):
        np.testing.assert_array_equal(later.step(frame).masks, masks)


@pytest.mark.parametrize(("form", "detail"), [("128", None), ("128-foveated", "pooled:2"), ("64-foveated", None)])
def test_a_state_of_other_memories_is_refused(variants_bundle: Path, form: str, detail: str | None) -> None:
    kept = tracker(opened(variants_bundle, "128-foveated"))
    kept.step(FRAMES[0], PROMPTS[0])
    with pytest.raises(StateError, match="another"):
        tracker(opened(variants_bundle, form), detail).restore(kept.snapshot())
