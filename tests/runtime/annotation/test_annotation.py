"""An annotation's masks are those of `masklet run` with its prompts, in both directions, whatever came before them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fake_feeds import ListSource
from masklet.runtime.annotation.annotation import Annotation
from masklet.runtime.annotation.clip import Clip
from masklet.runtime.annotation.truth import Agreement
from masklet.runtime.annotation.worker import AnnotationWorker, ReplacedError
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import MaskletError, MasksError, PromptError, SourceError
from masklet.runtime.masks.label_pngs import LabelPngs
from masklet.runtime.prompts.prompt_file import read_prompt_file
from masklet.runtime.prompts.prompts import Box, Mask, Points
from masklet.runtime.sinks.json_lines import object_records
from masklet.runtime.sources.opening import open_source
from masklet.runtime.tracking.video_tracker import VideoTracker
from two_discs import disc, two_discs

FRAMES, SIDE = 24, 128
FIRST, SECOND, BESIDE = Points.click(30, 40), Points.click(80, 90), Points.click(60, 60, positive=False)


@pytest.fixture(scope="module")
def sessions(nano_bundle: Path) -> Sessions:
    return Sessions.open(Bundle.load(nano_bundle))


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip") / "frames"
    folder.mkdir()
    for frame in two_discs(FRAMES, SIDE, (30, 40, 18), (96, 90, 22)):
        cv2.imwrite(str(folder / f"{frame.index:05d}.png"), cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
    return folder


@pytest.fixture
def annotation(sessions: Sessions, frames: Path, tmp_path: Path) -> Annotation:
    return Annotation(Clip(str(frames), {}), lambda: VideoTracker(sessions), tmp_path / "saved")


def drain(steps: Iterator[int]) -> int:
    return len(list(steps))


def run(sessions: Sessions, frames: Path, prompts: Path, *, reverse: bool = False) -> dict[int, dict[int, Any]]:
    """What `masklet run` finds: records by frame and object id."""
    plan = read_prompt_file(prompts).schedule()
    tracker, found = VideoTracker(sessions), {}
    for frame in open_source(str(frames), reverse=reverse):
        records = object_records(tracker.step(frame, plan.get(frame.index)))
        found[frame.index] = {record["id"]: record for record in records}
    return found


def annotate(annotation: Annotation) -> None:
    """Two objects, of which one is corrected twice, in an order that is not that of time."""
    second = annotation.give(12, None, SECOND)
    drain(annotation.segment(12, second))
    first = annotation.give(3, None, FIRST)
    drain(annotation.segment(3, first))
    drain(annotation.track("forwards"))
    annotation.give(20, first, BESIDE)
    drain(annotation.segment(20, first))
    annotation.give(9, first, Box(20.0, 30.0, 70.0, 80.0))
    drain(annotation.segment(9, first))
    annotation.give(9, first, BESIDE)
    drain(annotation.track("forwards"))
    drain(annotation.track("backwards"))


def test_masks_are_those_of_a_run_with_the_saved_prompts(
    annotation: Annotation, sessions: Sessions, frames: Path, tmp_path: Path
) -> None:
    annotate(annotation)
    prompts = tmp_path / "saved" / "prompts.json"
    forwards, backwards = (run(sessions, frames, prompts, reverse=reverse) for reverse in (False, True))
    first = {1: 12, 2: 3}
    for frame in range(FRAMES):
        known = {record["id"]: record for record in annotation.masks.of(frame)}
        for object_id in (1, 2):
            wanted = (forwards if frame >= first[object_id] else backwards)[frame][object_id]
            assert known[object_id] == wanted, (frame, object_id)


def test_it_opens_where_it_was_left(annotation: Annotation, sessions: Sessions, frames: Path, tmp_path: Path) -> None:
    annotate(annotation)
    annotation.rename(2, "left disc")
    annotation.save_masks()
    again = Annotation(Clip(str(frames), {}), lambda: VideoTracker(sessions), tmp_path / "saved")
    assert again.sheet.file() == annotation.sheet.file()
    assert again.given.names == {2: "left disc"}
    assert [again.masks.of(frame) for frame in range(FRAMES)] == [annotation.masks.of(frame) for frame in range(FRAMES)]
    assert drain(again.track("forwards")) == 0, "nothing is left to track"
    again.give(15, 2, BESIDE)
    assert again.missing(2, "forwards") == FRAMES - 15
    assert again.missing(1, "forwards") == 0
    drain(again.track("forwards"))
    prompts = tmp_path / "saved" / "prompts.json"
    wanted = run(sessions, frames, prompts)
    assert {record["id"]: record for record in again.masks.of(FRAMES - 1)} == wanted[FRAMES - 1]


def test_undo_goes_back_change_by_change(annotation: Annotation) -> None:
    number = annotation.give(0, None, FIRST)
    drain(annotation.track("forwards"))
    before = annotation.masks.of(10)
    annotation.give(8, number, BESIDE)
    assert annotation.masks.of(10) == []
    assert len(annotation.masks.of(7)) == 1
    annotation.undo()
    drain(annotation.track("forwards"))
    assert annotation.masks.of(10) == before
    annotation.remove(number)
    assert annotation.given.object_ids == []
    annotation.undo()
    assert annotation.given.object_ids == [number]
    annotation.undo()
    assert annotation.given.object_ids == []
    assert not annotation.sheet.can_undo
    with pytest.raises(PromptError, match="nothing to undo"):
        annotation.undo()
    assert annotation.give(0, None, FIRST) == 1


def test_what_does_not_fit_changes_nothing(annotation: Annotation, tmp_path: Path) -> None:
    annotation.give(0, None, disc(SIDE, 30, 40, 12))
    before = annotation.sheet.file()
    for frame, object_id, prompt, says in (
        (0, None, Points.click(500, 3), "outside the frame"),
        (0, None, Mask(np.ones((3, 3), bool)), "3x3 pixels"),
        (99, None, FIRST, "no frame 99"),
        (0, 7, FIRST, "no object 7"),
        (0, 1, FIRST, "a mask cannot be combined"),
    ):
        with pytest.raises(MaskletError, match=says):
            annotation.give(frame, object_id, prompt)
    with pytest.raises(PromptError, match="nothing was given"):
        annotation.take_back(5, 1)
    assert annotation.sheet.file() == before
    assert read_prompt_file(tmp_path / "saved" / "prompts.json").prompts == before.prompts


def test_frames_come_in_any_order(frames: Path) -> None:
    with Clip(str(frames), {"start": 2, "stride": 3}) as clip:
        assert list(clip.indices) == [2, 5, 8, 11, 14, 17, 20, 23]
        wanted = {frame.index: frame.image for frame in open_source(str(frames), start=2, stride=3)}
        for index in (20, 2, 5, 23, 17, 14, 11, 2):
            assert np.array_equal(clip.frame(index).image, wanted[index])
        with pytest.raises(SourceError, match="no frame 3"):
            clip.frame(3)


def test_a_camera_cannot_be_annotated(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = ListSource("camera", [], finite=False)
    monkeypatch.setattr("masklet.runtime.annotation.clip.open_source", lambda spec, **cut: endless)
    with pytest.raises(SourceError, match="record it"):
        Clip("/dev/video0", {})


def test_j_is_the_intersection_over_union(annotation: Annotation, tmp_path: Path) -> None:
    true = disc(SIDE, 30, 40, 18).mask
    (tmp_path / "truth").mkdir()
    cv2.imwrite(str(tmp_path / "truth" / "00000.png"), true.astype(np.uint8))
    agreement = Agreement(LabelPngs(tmp_path / "truth"), (SIDE, SIDE))
    number = annotation.give(0, None, disc(SIDE, 33, 40, 18))
    drain(annotation.segment(0, number))
    [record] = annotation.masks.of(0)
    found = agreement.j(0, record)
    assert found is not None
    assert 0.7 < found < 0.95
    assert agreement.j(1, record) is None
    with pytest.raises(MasksError, match="true masks are 128x128 pixels, but the clip's frames 64x64"):
        Agreement(LabelPngs(tmp_path / "truth"), (64, 64))


def test_the_worker_answers_between_frames_and_stops(annotation: Annotation) -> None:
    with AnnotationWorker(annotation) as worker:
        number = worker.do(lambda of: of.give(0, None, FIRST)).result(20)
        work = worker.do(lambda of: worker.begin("tracking", lambda of: of.track("forwards"), FRAMES)).result(20)
        assert worker.do(lambda of: of.given.object_ids).result(20) == [number]
        worker.do(lambda of: worker.stop()).result(20)
        with pytest.raises(ReplacedError, match="tracking was stopped"):
            work.result(20)
        again = worker.do(lambda of: worker.begin("tracking", lambda of: of.track("forwards"), FRAMES)).result(20)
        again.result(60)
        assert annotation.missing(number, "forwards") == 0
        with pytest.raises(PromptError):
            worker.do(lambda of: of.remove(99)).result(20)
