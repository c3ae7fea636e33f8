"""The detector on every n-th frame: what is found, removed, confirmed and reconditioned, against every frame."""

from pathlib import Path

import numpy as np
import pytest
from masklet.runtime.bundle.tuning import Attending
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.concepts.tracker import ConceptTracker
from masklet.runtime.errors import PromptError
from masklet.runtime.results import FrameResult
from scripted_concepts import Script, disc, sessions


def results(script: Script, folder: Path, **options: int | bool) -> list[FrameResult]:
    tracker = ConceptTracker(sessions(script, folder)[0], ["car"], ConceptOptions(**options))  # type: ignore[arg-type]
    found = [one for frame in script.frames() for one in tracker.step(frame)]
    return found + tracker.finish()


def ids(found: list[FrameResult]) -> list[list[int]]:
    return [one.object_ids.tolist() for one in found]


def moving(length: int, actors: int = 2) -> Script:
    """Cars that the detector finds and the tracker follows on every frame."""
    script = Script(length)
    for t in range(length):
        for actor in range(1, actors + 1):
            script.see(t, disc(6 + 8 * actor + t / 9, 10, 3), actor=actor)
            script.track(t, actor, disc(6 + 8 * actor + t / 9, 10, 3))
    return script


@pytest.mark.parametrize("interval", [2, 5])
def test_the_detector_rests_and_the_objects_are_the_same(interval: int, tmp_path: Path) -> None:
    script = moving(23)
    every = results(script, tmp_path, hotstart=0)
    opened, calls = sessions(script, tmp_path)
    tracker = ConceptTracker(opened, ["car"], ConceptOptions(hotstart=0, detection_interval=interval))
    some = [one for frame in script.frames() for one in tracker.step(frame)]
    assert calls["detector"] == calls["mask_head"] == -(-23 // interval)
    assert calls["memory_attention"] == 22
    assert ids(some) == ids(every)
    for a, b in zip(some, every, strict=True):
        np.testing.assert_array_equal(a.masks, b.masks)
    looked = [one.findings[0].presence is not None for one in some]
    assert looked == [t % interval == 0 for t in range(23)]


def test_an_object_that_appears_waits_for_the_next_look(tmp_path: Path) -> None:
    script = moving(20, 1)
    for t in range(7, 20):
        script.see(t, disc(24, 24, 3), actor=2)
        script.track(t, 2, disc(24, 24, 3))
    assert [len(one) for one in ids(results(script, tmp_path, hotstart=0))] == [1] * 7 + [2] * 13
    assert [len(one) for one in ids(results(script, tmp_path, hotstart=0, detection_interval=5))] == [1] * 10 + [2] * 10


@pytest.mark.parametrize(("interval", "removed"), [(1, 8), (2, 8), (4, 8), (5, 10)])
def test_a_false_positive_is_removed_after_as_many_frames(interval: int, removed: int, tmp_path: Path) -> None:
    """Found once, and never again: eight unmatched frames of the hotstart remove it (hotstart_unmatched)."""
    script = moving(30, 1)
    script.see(0, disc(24, 24, 3), actor=2)
    for t in range(30):
        script.track(t, 2, disc(24, 24, 3))
    tracker = ConceptTracker(sessions(script, tmp_path)[0], ["car"], ConceptOptions(detection_interval=interval))
    found, gone = [], None
    for t, frame in enumerate(script.frames()):
        found += tracker.step(frame)
        if gone is None and len(tracker.object_ids) == 1:
            gone = t
    assert gone == removed
    assert all(len(one) == 1 for one in found)  # it was removed before its first frame came out


def test_duplicates_are_removed_after_as_many_frames(tmp_path: Path) -> None:
    """A second track on the same car: eight frames with one detection for both (hotstart_duplicates)."""
    script = moving(30, 1)
    script.see(0, disc(24, 24, 3), actor=2)
    for t in range(30):
        script.track(t, 2, disc(14 + t / 9, 10, 3))
    # One of the two is blanked where they overlap, so let them (occlusion_overlap).
    options = {"occlusion_overlap": 0, "hotstart_duplicates": 8}
    lasts = {
        interval: [len(one) for one in ids(results(script, tmp_path, detection_interval=interval, **options))]
        for interval in (1, 4)
    }
    assert lasts[1] == lasts[4] == [1] * 30


@pytest.mark.parametrize("interval", [1, 3])
def test_confirmation_counts_frames(interval: int, tmp_path: Path) -> None:
    script = moving(24, 1)
    shown = [len(one) for one in ids(results(script, tmp_path, confirm=True, detection_interval=interval))]
    assert shown == [1] * 24  # the look-ahead shows it from its first frame


@pytest.mark.parametrize(("interval", "pinned"), [(1, [0, 16]), (3, [0, 18]), (5, [0, 20])])
def test_reconditioning_waits_for_the_next_look(interval: int, pinned: list[int], tmp_path: Path) -> None:
    script = moving(24, 1)
    options = ConceptOptions(hotstart=0, detection_interval=interval)
    tracker = ConceptTracker(sessions(script, tmp_path)[0], ["car"], options)
    for frame in script.frames():
        tracker.step(frame)
    tracker._masklets.bank.begin(24)
    assert list(tracker._masklets.bank._objects[1].state.pinned) == pinned


@pytest.mark.parametrize(("interval", "gone"), [(1, 15), (4, 16)])
def test_what_is_no_longer_detected_is_dropped_after_as_many_frames(interval: int, gone: int, tmp_path: Path) -> None:
    script = moving(24, 1)
    for t in range(6, 24):
        script.found.pop((t, "car"))
    options = {"hotstart": 0, "forget_after": 10, "detection_interval": interval}
    counts = [len(one) for one in ids(results(script, tmp_path, **options))]
    assert counts.index(0) in (gone, gone + 1)


def test_attending_changes_between_two_frames(tmp_path: Path) -> None:
    """What `--target-fps` steps: the detector rests, fewer frames are attended, and results are the same."""
    script = moving(24)
    every = results(script, tmp_path, hotstart=0)
    opened, calls = sessions(script, tmp_path)
    tracker, found = ConceptTracker(opened, ["car"], ConceptOptions(hotstart=0)), list[FrameResult]()
    attended: list[int] = []
    for frame in script.frames():
        if frame.index == 12:
            tracker.attend(Attending(memory_frames=2, pointers=3, detection_interval=4))
        found += tracker.step(frame)
        attended.append(len(tracker._masklets.bank.attended(1).memories))
    assert calls["detector"] == 12 + 12 // 4
    assert max(attended[:12]) > 3
    assert attended[13:16] == [3] * 3  # the pinned one and two recent ones; at 16 another is pinned
    assert ids(found) == ids(every)
    for a, b in zip(found, every, strict=True):
        np.testing.assert_array_equal(a.masks, b.masks)


def test_an_interval_below_one_is_refused() -> None:
    with pytest.raises(PromptError, match="detection_interval 0 is out of range"):
        ConceptOptions(detection_interval=0)
