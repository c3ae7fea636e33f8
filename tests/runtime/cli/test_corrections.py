"""Clicks on later frames correct an object and --remove ends one, as the same calls of the API do."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import Cli
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.prompts.prompts import Points
from masklet.runtime.sinks.json_lines import object_records
from masklet.runtime.tracking.video_tracker import VideoTracker
from two_discs import two_discs

FRAMES = two_discs(8, 128, (40, 45, 16), (90, 80, 20))
FIRST, SECOND, CORRECTION = Points.click(40, 45), Points.click(90, 80), Points.click(70, 70, positive=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    frames = tmp_path / "frames"
    frames.mkdir()
    for frame in FRAMES:
        cv2.imwrite(str(frames / f"{frame.index:03d}.png"), cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
    return frames


def test_a_later_click_corrects_and_an_object_leaves(cli: Cli, nano_bundle: Path, folder: Path) -> None:
    masks = folder.parent / "masks.jsonl"
    words = ("--point", "1:40,45", "--point", "2:90,80", "--negative", "1@4:70,70", "--remove", "2@6")
    code, _, err = cli("run", nano_bundle, folder, *words, "--masks", masks, "--threads", 1)
    assert code == 0, err
    with Sessions.open(Bundle.load(nano_bundle), OnnxRuntime(threads=1)) as sessions:
        tracker = VideoTracker(sessions)
        for frame, line in zip(FRAMES, masks.read_text().splitlines(), strict=True):
            if frame.index == 6:
                tracker.remove(2)
            wanted = tracker.step(frame, {1: FIRST, 2: SECOND} if frame.index == 0 else {})
            if frame.index == 4:
                wanted = tracker.refine(1, CORRECTION)
            assert json.loads(line)["objects"] == object_records(wanted), frame.index
            assert wanted.object_ids.tolist() == ([1, 2] if frame.index < 6 else [1])


def test_a_lone_later_negative_click_keeps_the_rest_of_the_object(cli: Cli, nano_bundle: Path, folder: Path) -> None:
    """Segmented from that click alone, the object would be empty."""
    alone = VideoTracker(Bundle.load(nano_bundle)).step(FRAMES[4], {1: CORRECTION})
    tracker = VideoTracker(Bundle.load(nano_bundle))
    for frame in FRAMES[:5]:
        shown = tracker.step(frame, {1: FIRST} if frame.index == 0 else {})
    masks = folder.parent / "masks.jsonl"
    words = ("--point", "1:40,45", "--negative", "1@4:70,70", "--end", 5, "--masks", masks)
    assert cli("run", nano_bundle, folder, *words)[0] == 0
    last = json.loads(masks.read_text().splitlines()[-1])["objects"][0]
    assert last != object_records(alone)[0]
    assert np.array_equal(tracker.refine(1, CORRECTION).boxes_xyxy[0, :2].astype(int), last["bbox"][:2])
    assert shown.object_ids.tolist() == [1]


@pytest.mark.parametrize(
    ("word", "message"),
    [("2", "--remove 2: expected ID@FRAME"), ("1@99", "a prompt is for frame 99")],
)
def test_a_removal_that_cannot_be_is_one_line(
    cli: Cli, nano_bundle: Path, folder: Path, word: str, message: str
) -> None:
    code, _, err = cli("run", nano_bundle, folder, "--point", "1:40,45", "--remove", word)
    assert code == 2
    assert message in err
