"""The rules of following concepts against transformers' own code on the same script (reference_concepts.py)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.concepts.tracker import ConceptTracker
from masklet.runtime.results import FrameResult
from masklet.runtime.tracking.masklets import Decoded, Masklets
from reference_concepts import Reference
from scripted_concepts import Script, disc, sessions

NAMES = {"max_objects": "max_num_objects", "hide_unmatched": "suppress_unmatched_only_within_hotstart"}


class Ours:
    """A script run by our tracker: its results by frame, the ids that came to be removed, and what was remembered."""

    def __init__(self, script: Script, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        self.remembered: list[dict[int, tuple[Tensor, float, bool]]] = [{} for _ in range(script.length)]
        remember = Masklets.remember

        def noted(masklets: Masklets, decoded: Decoded, low_res: Tensor) -> None:
            if not decoded.prompted:
                for row, object_id in enumerate(decoded.object_ids):
                    kept = low_res[row, 0].copy(), float(decoded.score[row, 0]), decoded.pinned
                    self.remembered[masklets.time][object_id] = kept
            remember(masklets, decoded, low_res)

        monkeypatch.setattr(Masklets, "remember", noted)
        tracker = ConceptTracker(sessions(script, folder)[0], script.phrases, ConceptOptions(**options))
        self.frames: list[FrameResult] = []
        seen: set[int] = set()
        for frame in script.frames():
            self.frames += tracker.step(frame)
            seen |= set(tracker.object_ids)
        self.frames += tracker.finish()
        self.removed = seen - set(tracker.object_ids)


@pytest.fixture
def compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Ours, Reference]]:
    """Run a script by both, and check that they agree in everything: shown, removed, remembered."""

    def run(script: Script, **options: Any) -> tuple[Ours, Reference]:
        constants: Any = {NAMES[name]: (not v if name == "hide_unmatched" else v) for name, v in options.items()}
        ours, reference = Ours(script, tmp_path, monkeypatch, **options), Reference(script, **constants)
        assert [f.frame_index for f in ours.frames] == [f.index for f in reference.frames] == list(range(script.length))
        for mine, theirs in zip(ours.frames, reference.frames, strict=True):
            assert mine.object_ids.tolist() == theirs.ids, theirs.index
            np.testing.assert_array_equal(mine.masks, theirs.masks, err_msg=f"frame {theirs.index}")
            np.testing.assert_allclose(mine.scores, theirs.scores, rtol=1e-5)
            named = zip(mine.object_ids.tolist(), mine.findings, strict=True)
            assert {i: finding.phrase for i, finding in named} == theirs.phrases
        assert ours.removed == reference.removed
        for time, (mine_kept, theirs_kept) in enumerate(zip(ours.remembered, reference.remembered, strict=True)):
            assert mine_kept.keys() == theirs_kept.keys(), time
            for object_id, (logits, score, pinned) in mine_kept.items():
                want = theirs_kept[object_id]
                np.testing.assert_allclose(logits, want[0], err_msg=f"frame {time}, object {object_id}", atol=1e-6)
                assert (score, pinned) == want[1:], (time, object_id)
        return ours, reference

    return run


def shown(ours: Ours) -> list[list[int]]:
    return [frame.object_ids.tolist() for frame in ours.frames]


def steady(length: int = 45) -> Script:
    """One instance from the first frame to the last."""
    script = Script(length)
    for t in range(length):
        script.see(t, disc(9 + t / 8, 10, 5))
        script.track(t, 1, disc(9.3 + t / 8, 10, 5.2))
    return script


def test_birth_and_death(compare: Any) -> None:
    """An object joins later; another goes out of sight for good, and is left out while it is."""
    script = steady()
    for t in range(12, 45):
        script.see(t, disc(24, 24, 4), score=0.75)
        script.track(t, 2, disc(24, 24, 4.2))
    for t in range(30, 45):
        script.track(t, 1)
        script.found[t, "car"].pop(0)
    ours, _ = compare(script)
    assert shown(ours)[11] == [1]
    assert shown(ours)[12] == [1, 2]
    assert shown(ours)[30] == [2]


def test_a_new_object_needs_a_high_score_where_others_are_tracked(compare: Any) -> None:
    script = steady()
    for t in range(45):
        script.see(t, disc(24, 24, 4), score=0.65 if t else 0.3)
        script.track(t, 2, disc(24, 24, 4.2))
    ours, _ = compare(script)
    assert shown(ours)[-1] == [1]
    first = steady()
    for detections in first.found.values():
        detections[0].score = 0.55
    assert shown(compare(first)[0])[0] == [1]  # nothing is tracked yet


def test_what_no_detection_covers_is_removed_in_its_hotstart(compare: Any) -> None:
    script = steady()
    for t in range(20, 45):
        script.track(t, 2, disc(24, 24, 4))
        if t < 23:
            script.see(t, disc(24, 24, 4))
    ours, _ = compare(script)
    assert ours.removed == {2}
    assert all(ids == [1] for ids in shown(ours))  # not even on the frames before its removal


def test_what_is_older_than_the_hotstart_stays(compare: Any) -> None:
    script = steady(60)
    for t in range(60):
        script.track(t, 2, disc(24, 24, 4))
        if t < 16:
            script.see(t, disc(24, 24, 4))
    ours, _ = compare(script)
    assert not ours.removed
    assert shown(ours)[-1] == [1, 2]
    assert shown(compare(script, hide_unmatched=True)[0])[-1] == [1]


def test_a_duplicate_is_removed(compare: Any) -> None:
    """Two instances run into one: the detector sees one, the elder track keeps it."""
    script = Script(45)
    for t in range(45):
        script.see(t, disc(10, 10, 5))
        script.track(t, 1, disc(10, 10, 5))
        x = max(11.5, 26 - 2 * max(0, t - 5))
        if 3 <= t < 9:
            script.see(t, disc(x, 10, 4.5), score=0.8)
        script.track(t, 2, disc(x, 10, 4.5))
    ours, _ = compare(script)
    assert ours.removed == {2}


def test_of_overlapping_tracks_the_one_that_was_hidden_last_is_blanked(compare: Any) -> None:
    script = Script(50)
    for t in range(50):
        for actor, hidden in ((1, range(20, 23)), (2, range(26, 30))):
            x = 9 if actor == 1 else max(9.5, 24 - max(0, t - 16))
            if t in hidden:
                script.track(t, actor)
            else:
                script.track(t, actor, disc(x, 12, 5))
            if t < 20:
                script.see(t, disc(x, 12, 5), score=0.9 if actor == 1 else 0.85)
    ours, _ = compare(script)
    assert shown(ours)[24] == [1, 2]
    assert shown(ours)[40] == [1]


def test_reconditioning_pins_what_a_sure_detection_confirms(compare: Any) -> None:
    script = steady(50)
    ours, _ = compare(script)
    pinned = [t for t, kept in enumerate(ours.remembered) if 1 in kept and kept[1][2]]
    assert pinned == [16, 32, 48]


def test_reconditioning_needs_a_visible_track(compare: Any) -> None:
    script = steady(50)
    for t in range(50):
        script.tracks[t, 1] = script.tracks[t, 1][0], 0.7
    ours, _ = compare(script)
    assert not any(kept[1][2] for kept in ours.remembered if 1 in kept)


def test_a_mask_that_keeps_few_pixels_of_its_own_is_remembered_as_absent(compare: Any) -> None:
    script = Script(45)
    for t in range(45):
        script.see(t, disc(12, 12, 6))
        script.track(t, 1, disc(12, 12, 6, edge=8.0))
        x = 24 if t < 20 else 14
        if t < 20:
            script.see(t, disc(x, 14, 3), score=0.85)
        script.track(t, 2, disc(x, 14, 3))
    ours, _ = compare(script)
    assert ours.remembered[10][2][1] == 10
    assert ours.remembered[30][2][1] == -10


def test_object_limit(compare: Any) -> None:
    script = Script(42)
    for t in range(42):
        for actor, score in ((1, 0.8), (2, 0.95), (3, 0.9)):
            script.see(t, disc(8 * actor, 8 * actor, 3.5), score=score)
            script.track(t, actor, disc(8 * actor, 8 * actor, 3.5))
    ours, _ = compare(script, max_objects=2)
    assert [frame.object_ids.tolist() for frame in ours.frames][-1] == [1, 2]
    np.testing.assert_allclose(ours.frames[0].scores, [0.95, 0.9], rtol=1e-5)


def test_holes_are_filled_and_specks_removed(compare: Any) -> None:
    script = steady()
    for t in range(45):
        tracked = script.tracks[t, 1][0]
        tracked[9:11, 8 + t // 8 : 10 + t // 8] = -1  # a hole of four
        tracked[28:30, 2:4] = 2  # a speck of four
        script.found[t, "car"][0].logits[28:30, 20:23] = 3
    ours, _ = compare(script)
    assert not ours.frames[5].masks[0, 40:].any()


def test_two_phrases_do_not_know_of_each_other(compare: Any) -> None:
    """The same thing is a car and a dog: neither is the other's duplicate, nor takes its pixels."""
    script = Script(45, phrases=("car", "dog"))
    for t in range(45):
        for phrase, actor, size in (("car", 1, 5.0), ("dog", 2, 4.2)):
            since = 0 if phrase == "car" else 10
            if t >= since:
                script.see(t, disc(12, 12, size), 0.6 if t == since else 0.9, phrase, actor)
            script.track(t, actor, disc(12, 12, size))
    ours, _ = compare(script)
    assert shown(ours)[10] == [1, 2]
    assert (ours.frames[20].masks[0] & ours.frames[20].masks[1]).sum() > 100
    assert not ours.removed


@pytest.mark.parametrize("seed", range(6))
def test_random_scenes(compare: Any, seed: int) -> None:
    """Actors that come, go, hide, meet, are missed by the detector or were never there: 50 frames of it."""
    rng = np.random.default_rng(seed)
    script = Script(50, phrases=("car", "dog") if seed % 2 else ("car",))
    for actor in range(1, 8):
        phrase = script.phrases[int(rng.integers(len(script.phrases)))]
        x, y, dx, dy = *rng.uniform(6, 26, 2), *rng.uniform(-0.3, 0.3, 2)
        radius, edge = rng.uniform(3, 7), rng.uniform(4, 9)
        begin, found_until = int(rng.integers(0, 25)), int(rng.integers(2, 60))
        missed, hidden = rng.uniform(0, 0.4), int(rng.integers(10, 50))
        for t in range(begin, 50):
            here = x + dx * (t - begin), y + dy * (t - begin)
            if t - begin < found_until and rng.uniform() > missed:
                jitter = rng.uniform(-0.4, 0.4, 2)
                mask = disc(here[0] + jitter[0], here[1] + jitter[1], radius)
                script.see(t, mask, rng.uniform(0.4, 0.97), phrase, actor)
            visible = not hidden <= t < hidden + 4
            script.track(t, actor, disc(*here, radius * rng.uniform(0.9, 1.1), edge) if visible else None)
    compare(script)


DEVIATIONS = ["rows_of_removal", "tracked_mask_shown", "first_of_concept", "lone_empty"]


@pytest.mark.parametrize("rule", DEVIATIONS)
def test_where_transformers_differs_meta_is_followed(compare: Any, rule: str) -> None:
    """The script meets the rule, and the reference without Meta's rule comes to something else."""
    script = Script(45, phrases=("car", "dog"))
    for t in range(45):
        script.see(t, disc(9, 9, 5))
        script.track(t, 1, disc(9.4, 9, 5) if t < 38 else None)
        if t >= 10:
            script.see(t, disc(22, 10, 4), score=0.6 if t == 10 else 0.9, phrase="dog")
        script.track(t, 2, disc(22, 10, 4))
        if t < 3:
            script.see(t, disc(24, 24, 4), score=0.8)
        script.track(t, 3, disc(24, 24, 4))
        if t >= 4:
            script.see(t, disc(8, 25, 3), score=0.8)
        script.track(t, 4, disc(8, 25, 3))
    if rule == "lone_empty":
        script.phrases = ("car",)
        script.found = {(t, "car"): found[:1] for (t, phrase), found in script.found.items() if phrase == "car"}
    ours, same = compare(script)
    other = Reference(script, frozenset({rule}))
    told = [(f.ids, f.masks.tolist(), f.scores) for f in same.frames] != [
        (f.ids, f.masks.tolist(), f.scores) for f in other.frames
    ]
    kept = any(
        not np.array_equal(mine[0], other.remembered[t][i][0])
        for t, frame in enumerate(ours.remembered)
        for i, mine in frame.items()
        if i in other.remembered[t]
    )
    assert told or kept
