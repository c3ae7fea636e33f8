"""The hard kinds of scenes: look-alikes that cross, absences of the length that was asked for, crowds."""

import numpy as np
import pytest
from hard_scenes import AFTER_ABSENCE, BEFORE_ABSENCE, CROWD, HARD
from scenes import FIRST_AREA, HELD_OUT_SEED, KINDS, held_out, render

FRAMES = {"distractors": 60, "absence": 60, "crowd": 40, "long": 260}


@pytest.mark.parametrize("kind", HARD)
def test_the_same_seed_gives_the_same_bytes_and_objects_can_be_seen(kind: str) -> None:
    one, same = (render(kind, 3, 64, FRAMES[kind]) for _ in range(2))
    assert one.frames.tobytes() == same.frames.tobytes()
    assert one.labels.tobytes() == same.labels.tobytes()
    assert kind not in KINDS, "nothing is trained on it"
    for label in one.ids:
        assert (one.labels[0] == label).mean() >= FIRST_AREA


def test_look_alikes_cross_the_object() -> None:
    """In most clips they meet: masks touch, or the one hides a part of the other."""
    met = 0
    for clip in held_out("distractors", 10, 64, 90, 1):
        others = clip.labels > 1
        assert 1 <= clip.labels.max() - 1 <= 3
        assert others[0].any()
        area = (clip.labels == 1).sum(axis=(1, 2))
        met += bool(area.min() < 0.6 * area[0])
    assert met >= 6


@pytest.mark.parametrize("away", [20, 55])
def test_an_absence_is_as_long_as_the_clip_leaves_room_for(away: int) -> None:
    clip = render("absence", HELD_OUT_SEED, 64, BEFORE_ABSENCE + away + AFTER_ABSENCE)
    gone = np.array([not np.isin(labels, list(clip.ids)).any() for labels in clip.labels])
    assert gone[BEFORE_ABSENCE:-AFTER_ABSENCE].all()
    assert not gone[:BEFORE_ABSENCE].any()
    with pytest.raises(ValueError, match="an absence takes more than 40"):
        render("absence", 0, 64, 40)


def test_a_crowd_is_one_and_a_long_scene_has_many_absences() -> None:
    crowd = render("crowd", 1, 64, 2, objects=4)
    assert crowd.labels.max() == CROWD
    long = render("long", HELD_OUT_SEED, 64, 900)
    gone = np.array([not (labels == 1).any() for labels in long.labels])
    assert np.sum(gone[1:] & ~gone[:-1]) >= 4
