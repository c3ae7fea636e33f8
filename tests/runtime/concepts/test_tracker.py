"""ConceptTracker: calls of the stages, delay, prompts beside phrases, new concepts, and streams of frames."""

import warnings
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from masklet.runtime.bundle.spec import MemorySpec, ModelSpec
from masklet.runtime.concepts.concept import Concept, Exemplar
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.concepts.tracker import ConceptsReset, ConceptTracker
from masklet.runtime.errors import PromptError, SpecError, StateError
from masklet.runtime.prompts.prompts import Box, Mask, Points
from masklet.runtime.streams.follow import follow
from scripted_concepts import HW, MODEL, Script, disc, sessions

AT_ONCE = ConceptOptions(hotstart=0)
SCALE = 2  # source pixels a pixel of the script, across; 1.5 down


def click(x: float, y: float) -> Points:
    """A click at a place of the script."""
    return Points.click(x * SCALE, y * 1.5)


@pytest.fixture
def script() -> Script:
    """A car and a dog from the beginning, something that nobody looks for, and 30 frames."""
    script = Script(30, phrases=("car", "dog"))
    for t in range(30):
        script.see(t, disc(9, 10, 5), actor=1)
        script.track(t, 1, disc(9, 10, 5))
        script.see(t, disc(22, 20, 4), phrase="dog", actor=2)
        script.track(t, 2, disc(22, 20, 4))
        script.track(t, 3, disc(25, 6, 3))
    return script


def test_features_once_a_frame_and_text_once_a_run(script: Script, tmp_path: Path) -> None:
    opened, calls = sessions(script, tmp_path)
    tracker = ConceptTracker(opened, ["car", "dog"])
    for frame in script.frames():
        tracker.step(frame)
    tracker.finish()
    assert calls["image_encoder"] == calls["detector"] == calls["mask_head"] == script.length
    assert calls["text_encoder"] == 1
    assert calls["geometry_encoder"] == script.length
    assert calls["memory_attention"] == script.length - 1  # both objects in one call


def test_results_come_late_and_all_of_them(script: Script, tmp_path: Path) -> None:
    tracker = ConceptTracker(sessions(script, tmp_path)[0], ["car", "dog"])
    came = [[r.frame_index for r in tracker.step(frame)] for frame in script.frames()]
    assert tracker.delay == 14
    assert came == [[]] * 14 + [[t] for t in range(16)]
    assert [r.frame_index for r in tracker.finish()] == list(range(16, 30))
    assert tracker.finish() == []


def test_without_hotstart_results_come_at_once(script: Script, tmp_path: Path) -> None:
    tracker = ConceptTracker(sessions(script, tmp_path)[0], ["car", "dog"], AT_ONCE)
    for frame in script.frames():
        (result,) = tracker.step(frame)
        assert result.frame_index == frame.index
        assert result.object_ids.tolist() == [1, 2]
    finding = result.findings[0]
    assert finding.phrase == "car"
    assert finding.presence == pytest.approx(0.98, abs=1e-5)


def test_confirmation_looks_ahead(script: Script, tmp_path: Path) -> None:
    """An object that is matched on too few frames running is never shown; another from its first frame on."""
    for t in range(30):
        if t in (10, 11):
            script.see(t, disc(25, 6, 3), actor=3)
    options = ConceptOptions(hotstart=4, hotstart_unmatched=4, hotstart_duplicates=4, confirm=True)
    tracker = ConceptTracker(sessions(script, tmp_path)[0], ["car", "dog"], options)
    results = [r for frame in script.frames() for r in tracker.step(frame)] + tracker.finish()
    assert [r.object_ids.tolist() for r in results] == [[1, 2]] * 30


def test_text_finds_and_points_refine(script: Script, tmp_path: Path) -> None:
    """The car's id takes the mask that was clicked at, scores 1, and what was pinned by a detection is let go."""
    tracker = ConceptTracker(sessions(script, tmp_path)[0], ["car", "dog"], AT_ONCE)
    frames = script.frames()
    for frame in frames[:5]:
        (before,) = tracker.step(frame)
    refined = tracker.refine(1, click(25, 6))
    assert refined.object_ids.tolist() == [1, 2]
    assert refined.scores[0] == 1 > refined.scores[1]
    assert not (refined.masks[0] & before.masks[0]).any()
    np.testing.assert_array_equal(refined.masks[1], before.masks[1])
    assert before.object_ids.tolist() == [1, 2]  # what was handed out stays as it is
    (after,) = tracker.step(frames[5])
    np.testing.assert_array_equal(after.masks[0], refined.masks[0])
    assert after.scores[0] == 1
    tracker._masklets.bank.begin(6)
    memories = tracker._masklets.bank.attended(1).memories
    assert [time for time, row in memories.items() if row == 6] == [4]


def test_points_add_an_object_that_no_rule_removes(script: Script, tmp_path: Path) -> None:
    tracker = ConceptTracker(sessions(script, tmp_path)[0], ["car", "dog"])
    results = []
    for frame in script.frames():
        results += tracker.step(frame, {7: click(25, 6)} if frame.index == 3 else None)
    results += tracker.finish()
    assert [r.object_ids.tolist() for r in results] == [[1, 2]] * 3 + [[1, 2, 7]] * 27
    assert [finding.phrase for finding in results[-1].findings] == ["car", "dog", None]


def test_what_points_added_is_not_found_again(script: Script, tmp_path: Path) -> None:
    for t in range(5, 30):
        script.see(t, disc(25, 6, 3), actor=3)
    tracker = ConceptTracker(sessions(script, tmp_path)[0], ["car"], AT_ONCE)
    for frame in script.frames():
        (result,) = tracker.step(frame, {7: click(25, 6)} if frame.index == 3 else None)
    assert result.object_ids.tolist() == [1, 7]
    assert [finding.phrase for finding in result.findings] == ["car", "car"]  # the only concept there is


def test_new_ids_come_after_those_of_a_user(script: Script, tmp_path: Path) -> None:
    for t in range(6, 30):
        script.see(t, disc(25, 25, 3), actor=4)
        script.track(t, 4, disc(25, 25, 3))
    tracker = ConceptTracker(sessions(script, tmp_path)[0], ["car"], AT_ONCE)
    for frame in script.frames():
        tracker.step(frame, {7: click(25, 6)} if frame.index == 3 else None)
    assert tracker.object_ids == [1, 7, 8]


def test_a_mask_refines_too(script: Script, tmp_path: Path) -> None:
    tracker = ConceptTracker(sessions(script, tmp_path)[0], ["car"], AT_ONCE)
    frames = script.frames()
    (before,) = tracker.step(frames[0])
    mask = np.zeros(HW, np.bool_)
    mask[25:35, 38:50] = True
    refined = tracker.refine(1, Mask(mask))
    assert (refined.masks[0] & mask).sum() > 0.5 * mask.sum()
    assert not (refined.masks[0] & before.masks[0]).any()


def test_an_object_can_be_let_go(script: Script, tmp_path: Path) -> None:
    tracker = ConceptTracker(sessions(script, tmp_path)[0], ["car", "dog"])
    for frame in script.frames()[:3]:
        tracker.step(frame)
    tracker.remove(1)
    assert [r.object_ids.tolist() for r in tracker.finish()] == [[2]] * 3
    with pytest.raises(PromptError, match="no object 1 is tracked"):
        tracker.remove(1)


def test_points_exclude_text_in_one_call(script: Script, tmp_path: Path) -> None:
    tracker = ConceptTracker(sessions(script, tmp_path)[0], ["car"])
    with pytest.raises(PromptError, match="cannot be given on the first frame"):
        tracker.step(script.frames()[0], {1: click(9, 10)})
    assert tracker.object_ids == []


def test_other_concepts_start_over_and_say_what_is_lost(script: Script, tmp_path: Path) -> None:
    tracker = ConceptTracker(sessions(script, tmp_path)[0], ["car", "dog"])
    frames = script.frames()
    for frame in frames[:4]:
        tracker.step(frame, {9: click(25, 6)} if frame.index == 2 else None)
    lost = r"searching for dog restarts tracking and drops 1 \(car\), 2 \(dog\), 9 \(added\)"
    with pytest.warns(ConceptsReset, match=lost):
        late = tracker.look_for("dog")
    assert [r.frame_index for r in late] == [0, 1, 2, 3]
    assert tracker.object_ids == []
    with pytest.raises(PromptError, match="have no ids yet"):
        tracker.refine(1, click(9, 10))
    tracker.step(frames[4])
    assert tracker.object_ids == [1]
    assert [r.findings[0].phrase for r in tracker.finish()] == ["dog"]


def test_nothing_is_lost_without_a_warning(script: Script, tmp_path: Path) -> None:
    tracker = ConceptTracker(sessions(script, tmp_path)[0], ["car"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracker.look_for("dog")
    tracker.step(script.frames()[0])
    with pytest.raises(PromptError, match="is empty"):
        tracker.look_for(" ")
    assert [one.name for one in tracker.concepts] == ["dog"]
    assert tracker.object_ids == [1]


EXEMPLAR = Exemplar(Box(2, 3, 30, 40))


def test_an_exemplar_alone_is_looked_for_on_its_frame(script: Script, tmp_path: Path) -> None:
    """Later frames are not searched, and what is not asked for does not speak against an object."""
    for t in range(30):
        script.see(t, disc(9, 10, 5), phrase="visual", actor=1)
    opened, calls = sessions(script, tmp_path)
    tracker = ConceptTracker(opened, Concept(None, (EXEMPLAR,)))
    results = [r for frame in script.frames() for r in tracker.step(frame)] + tracker.finish()
    assert calls["detector"] == 1
    assert [r.object_ids.tolist() for r in results] == [[1]] * 30
    assert [r.findings[0].presence is None for r in results] == [False] + [True] * 29
    assert results[0].findings[0].phrase == "exemplars"


def test_an_exemplar_with_a_phrase_is_for_its_frame_alone(script: Script, tmp_path: Path, monkeypatch: Any) -> None:
    opened, _ = sessions(script, tmp_path)
    valid = []
    run = opened.run

    def noted(stage: str, feeds: Any) -> Any:
        if stage == "geometry_encoder":
            valid.append(feeds["box_valid"].sum())
        return run(stage, feeds)

    monkeypatch.setattr(opened, "run", noted)
    tracker = ConceptTracker(opened, Concept("car", (EXEMPLAR,)), AT_ONCE)
    for frame in script.frames()[:3]:
        tracker.step(frame)
    assert valid == [1, 0, 0]


def test_what_a_video_does_not_take(script: Script, tmp_path: Path) -> None:
    opened, _ = sessions(script, tmp_path)
    with pytest.raises(PromptError, match="a video takes one exemplar per phrase, got 2"):
        ConceptTracker(opened, Concept("car", (EXEMPLAR, EXEMPLAR)))
    tracker = ConceptTracker(opened, Concept("car", (Exemplar(Box(0, 0, 65, 10)),)))
    with pytest.raises(PromptError, match="reaches beyond the frame of 64x48"):
        tracker.step(script.frames()[0])
    with pytest.raises(PromptError, match="no frame was given yet"):
        tracker.refine(1, click(9, 10))
    with pytest.raises(StateError, match="cannot be saved"):
        tracker.snapshot()
    images: ModelSpec = msgspec.structs.replace(MODEL, pipeline="image", memory=None)
    with pytest.raises(SpecError, match="has no tracker"):
        ConceptTracker(sessions(script, tmp_path, images)[0], "car")


def test_streams_follow_it_like_any_tracker(script: Script, tmp_path: Path) -> None:
    tracker = ConceptTracker(sessions(script, tmp_path)[0], ["car", "dog"])
    schedule: Any = {5: {7: click(25, 6)}}
    pairs = list(follow(tracker, script.frames(), schedule))
    assert [frame.index for frame, _ in pairs] == [r.frame_index for _, r in pairs] == list(range(30))
    assert pairs[-1][1].object_ids.tolist() == [1, 2, 7]


def test_a_reconditioned_track_takes_the_pointer_of_its_detection(script: Script, tmp_path: Path) -> None:
    """Meta's add_new_mask (V 440-500); transformers keeps the track's own. The script marks pointers of masks."""
    tracker = ConceptTracker(sessions(script, tmp_path)[0], ["car"], AT_ONCE)
    for frame in script.frames()[:18]:
        tracker.step(frame)
    tracker._masklets.bank.begin(18)
    bank = tracker._masklets.bank
    pointers, kept = bank.feeds([1])["pointers"][0], bank.attended(1).pointers
    from_masks = {time: bool(pointer[1]) for time, pointer in zip(kept, pointers, strict=True)}
    assert [time for time, from_mask in sorted(from_masks.items()) if from_mask] == [0, 16]


def test_an_object_out_of_sight_is_remembered_by_when_it_was_seen(script: Script, tmp_path: Path) -> None:
    """The last frame, and the last five that were worth it (MemorySpec.min_effective_iou)."""
    for t in range(8, 30):
        script.found.pop((t, "car"))
        script.track(t, 1, None)
    model: ModelSpec = msgspec.structs.replace(MODEL, memory=MemorySpec(6, 4, 16, 0.01))
    tracker = ConceptTracker(sessions(script, tmp_path, model)[0], ["car"])
    for frame in script.frames():
        tracker.step(frame)
    tracker._masklets.bank.begin(30)
    memories = tracker._masklets.bank.attended(1).memories
    assert memories == {0: 6, 3: 5, 4: 4, 5: 3, 6: 2, 7: 1, 29: 0}


def test_what_left_for_good_is_let_go_and_comes_back_as_another(script: Script, tmp_path: Path) -> None:
    """What was shown of it stays shown, also where that result is still to come; ids are never given twice."""
    for t in range(5, 20):
        script.found.pop((t, "car"))
        script.track(t, 1, None)
    options = ConceptOptions(forget_after=6, max_objects=1)
    tracker = ConceptTracker(sessions(script, tmp_path)[0], ["car", "dog"], options)
    followed, results = [], []
    for frame in script.frames():
        results += tracker.step(frame)
        followed.append(tracker.object_ids)
        assert tracker._masklets.bank.object_ids == tracker.object_ids
    results += tracker.finish()
    assert followed == [[1, 2]] * 10 + [[2]] * 10 + [[2, 3]] * 10
    assert [r.object_ids.tolist() for r in results] == [[1, 2]] * 5 + [[2]] * 15 + [[2, 3]] * 10


def test_what_is_held_does_not_grow(script: Script, tmp_path: Path) -> None:
    """Counts and times of tracks stay as few however long the stream."""
    tracker = ConceptTracker(sessions(script, tmp_path)[0], ["car", "dog"])
    frames = script.frames()
    for frame in [*frames, *frames, *frames]:
        tracker.step(frame)
    life: Any = tracker._life
    assert len(tracker._waiting) == tracker.delay
    assert all(len(track.detector_times) <= 2 for track in life.tracks.values())
    assert not life._shared
