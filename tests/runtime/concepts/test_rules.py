"""The rules of association and of a track's life, one by one, with Meta's constants."""

from dataclasses import fields, replace

import numpy as np
import pytest
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.concepts.associate import associate, best_new
from masklet.runtime.concepts.lifecycle import Lifecycle
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.errors import PromptError

META = ConceptOptions()


def f32(*values: float) -> Tensor:
    return np.array(values, np.float32)


def test_the_defaults_are_metas() -> None:
    """build_sam3_video_model (model_builder.py 705-735) and the constants in sam3_video_base.py."""
    assert (META.min_score, META.suppress_overlap, META.match_overlap, META.track_overlap) == (0.5, 0.1, 0.1, 0.5)
    assert (META.new_score, META.hotstart, META.hotstart_unmatched, META.hotstart_duplicates) == (0.7, 15, 8, 8)
    assert (META.keep_alive_start, META.keep_alive_max, META.keep_alive_min) == (30, 30, -1)
    assert (META.clean_area, META.recondition_every, META.occlusion_overlap, META.min_kept_share) == (16, 16, 0.7, 0.3)
    assert (META.recondition_score, META.recondition_overlap, META.recondition_visible) == (0.8, 0.8, 0.8)
    assert (META.max_objects, META.refine_window, META.confirm, META.hide_unmatched) == (10_000, 16, False, False)
    assert META.forget_after == 0


def test_every_constant_is_documented() -> None:
    for field in fields(ConceptOptions):
        assert f"{field.name}" in (ConceptOptions.__doc__ or "")


@pytest.mark.parametrize(("score", "overlap", "new"), [(0.7, 0.0, True), (0.69, 0.0, False), (0.9, 0.1, False)])
def test_a_detection_is_new_with_a_score_and_without_a_track(score: float, overlap: float, new: bool) -> None:
    found = associate(f32(score), f32(overlap)[None], [7], np.array([True]), META)
    assert found.new == ([0] if new else [])


def test_without_tracks_every_detection_is_new() -> None:
    assert associate(f32(0.51, 0.9), np.zeros((2, 0), np.float32), [], np.zeros(0, bool), META).new == [0, 1]


def test_a_track_in_sight_that_is_not_half_covered_is_unmatched() -> None:
    ious = np.array([[0.49, 0.5, 0.0]], np.float32)
    found = associate(f32(0.9), ious, [1, 2, 3], np.array([True, True, False]), META)
    assert found.unmatched == [1]
    assert found.matched == [[1, 2]]


def test_without_detections_every_track_in_sight_is_unmatched() -> None:
    found = associate(f32(), np.zeros((0, 2), np.float32), [1, 2], np.array([True, False]), META)
    assert (found.new, found.unmatched, found.matched) == ([], [1], [])


def test_a_sure_detection_confirms_its_nearest_track() -> None:
    ious = np.array([[0.85, 0.9], [0.0, 0.8], [0.79, 0.0]], np.float32)
    found = associate(f32(0.8, 0.95, 0.95), ious, [1, 2], np.array([True, True]), META)
    assert found.confirmed == {2: 1}  # of two that confirm it, the last, as in Meta's dict
    unsure = associate(f32(0.79, 0.79, 0.95), ious, [1, 2], np.array([True, True]), META)
    assert unsure.confirmed == {}


def test_the_best_are_taken_where_there_is_no_room_for_all() -> None:
    scores = f32(0.8, 0.95, 0.7, 0.9)
    assert best_new([0, 2, 3], scores, 3) == [0, 2, 3]
    assert best_new([0, 2, 3], scores, 2) == [3, 0]
    assert best_new([0, 2, 3], scores, 0) == best_new([0], scores, -1) == []


def life(options: ConceptOptions = META, born: int = 0, ids: tuple[int, ...] = (1, 2)) -> Lifecycle:
    tracks = Lifecycle(options)
    for place, object_id in enumerate(ids):
        tracks.begin(object_id, 0, born + place, 0.9)
    return tracks


def test_eight_unmatched_frames_of_the_hotstart_remove_a_track() -> None:
    tracks = life(ids=(1,))
    assert [tracks.judge(t, [], {1}, set())[0] for t in range(1, 9)] == [set()] * 7 + [{1}]


def test_unmatched_frames_need_not_run() -> None:
    tracks = life(ids=(1,))
    removed = [tracks.judge(t, [[1]] if t % 2 else [], set() if t % 2 else {1}, set())[0] for t in range(1, 15)]
    assert not any(removed)  # seven of fourteen
    assert tracks.judge(16, [], {1}, set())[0] == set()  # the eighth comes after the hotstart


def test_a_frame_out_of_sight_is_not_unmatched() -> None:
    tracks = life(ids=(1,))
    assert not any(tracks.judge(t, [], set(), {1})[0] for t in range(1, 15))


def test_eight_frames_that_share_a_detection_remove_the_younger() -> None:
    tracks = life()
    assert [tracks.judge(t, [[1, 2]], set(), set())[0] for t in range(2, 10)] == [set()] * 7 + [{2}]


def test_an_old_track_is_no_duplicate() -> None:
    tracks = life()
    for t in range(2, 9):
        tracks.judge(t, [[1, 2]], set(), set())
    assert tracks.judge(16, [[1, 2]], set(), set())[0] == set()
    assert tracks.judge(17, [[1, 2]], set(), set())[0] == set()


def test_without_hotstart_nothing_is_removed() -> None:
    tracks = life(replace(META, hotstart=0))
    assert not any(tracks.judge(t, [[1, 2]], {1, 2}, set())[0] for t in range(2, 40))


def test_what_a_user_touched_stays() -> None:
    tracks = life(ids=(1,))
    tracks.tracks[1].by_user = True
    assert not any(tracks.judge(t, [], {1}, set())[0] for t in range(1, 15))


def test_an_old_track_that_is_long_unmatched_is_hidden_where_that_is_asked_for() -> None:
    options = replace(META, hide_unmatched=True, hotstart=0, keep_alive_start=3, keep_alive_max=4)
    tracks = life(options, ids=(1,))
    hidden = [bool(tracks.judge(t, [[1]] if t < 3 else [], {1} if t >= 3 else set(), set())[1]) for t in range(1, 10)]
    assert hidden == [False] * 5 + [True] * 4  # 4 after two matches, used up by four unmatched frames
    assert not tracks.judge(10, [[1]] * 1, set(), set())[1] or tracks.tracks[1].keep_alive <= 0


def test_empty_masks_count_where_that_is_asked_for() -> None:
    tracks = life(replace(META, keep_alive_counts_empty=True), ids=(1,))
    for t in range(1, 40):
        tracks.judge(t, [], set(), {1})
    assert tracks.tracks[1].keep_alive == META.keep_alive_min
    assert life(ids=(1,)).tracks[1].keep_alive == 30


def test_what_is_not_detected_for_long_is_gone_where_that_is_asked_for() -> None:
    tracks, kept = life(replace(META, forget_after=3)), life()
    tracks.tracks[2].by_user = True
    gone = []
    for t in range(20, 30):  # empty, then in sight and matched once, then empty and in sight without a match by turns
        matched, empty = ([[1, 2]], set()) if t == 22 else ([], {1, 2} if t % 2 else set())
        unmatched = set() if t == 22 else {1, 2} - empty
        for each in (tracks, kept):
            each.judge(t, matched, unmatched, empty)
        gone.append(tracks.gone())
    assert gone == [set()] * 5 + [{1}] * 5
    assert not kept.gone()


def test_what_the_detector_is_not_asked_for_is_not_gone_while_it_is_in_sight() -> None:
    tracks = life(replace(META, forget_after=2))
    for t in range(20, 30):
        tracks.judge(t, [], set(), {2})
    assert tracks.gone() == {2}


def test_confirmation_takes_matched_frames_running() -> None:
    tracks = life(replace(META, confirm=True), ids=(1,))
    tracks.confirm_new([1])
    tracks.judge(1, [[1]], set(), set())
    tracks.judge(2, [], {1}, set())
    assert tracks.unconfirmed() == {1}
    for t in (3, 4, 5):
        tracks.judge(t, [[1]], set(), set())
    tracks.judge(6, [], {1}, set())
    assert tracks.unconfirmed() == set()


def test_nothing_is_counted_of_tracks_that_are_gone() -> None:
    tracks = life()
    tracks.judge(2, [[1, 2]], set(), set())
    tracks.remove(1)
    assert not tracks._shared
    assert list(tracks.tracks) == [2]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"min_score": 1.5}, "min_score 1.5"),
        ({"hotstart": -1}, "hotstart -1"),
        ({"hotstart": 5}, "hotstart_unmatched 8"),
        ({"max_objects": 0}, "max_objects 0"),
        ({"forget_after": -1}, "forget_after -1"),
        ({"match_overlap": float("nan")}, "match_overlap nan"),
    ],
)
def test_a_constant_out_of_its_range_is_named(wrong: dict[str, float], named: str) -> None:
    with pytest.raises(PromptError, match=named):
        ConceptOptions(**wrong)  # type: ignore[arg-type]


def test_a_shorter_hotstart_needs_no_other_change() -> None:
    assert ConceptOptions.of(0.5, 15) == META
    short = ConceptOptions.of(0.3, 4)
    assert (short.hotstart_unmatched, short.delay, short.min_presence) == (4, 3, 0.3)
    assert short.new_score == pytest.approx(0.5)
