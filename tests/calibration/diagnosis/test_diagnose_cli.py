"""`masklet diagnose` as a user runs it: what it prints and writes, and bad input."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from calibration_scenes import Scene
from command_line import Cli
from masklet.calibration.diagnosis.observer.positions import Position
from masklet.runtime.prompts.syntax import read_labels
from noise_clip import write_noise
from PIL import Image

NAMES = [position.value for position in Position]


def test_everything_is_measured_and_written(
    cli: Cli, trained_bundle: Path, int8_bundle: Path, scenes: list[Scene], tmp_path: Path
) -> None:
    scene, html, found = scenes[0], tmp_path / "report.html", tmp_path / "report.json"
    words = ("diagnose", trained_bundle, scene.frames, "--truth", scene.masks, "--against", int8_bundle)
    outputs = ("--html", html, "--json", found, "--write", tmp_path / "davis", "--threads", 1)
    code, out, err = cli(*words, "--transform", "occlusion:3", "--transform", "speed:1", *outputs)
    assert (code, err) == (0, "")
    assert all(name in out for name in (*NAMES, "occlusion:3", "int8.bundle less this"))
    report = json.loads(found.read_text())
    assert [c["name"] for c in report["side"]["conditions"]] == ["as it is", "occlusion:3", "speed:1"]
    assert report["objects"] == [1, 2]
    assert set(report["against"]["low_stages"].values()) == {"int8"}
    own = report["side"]["conditions"][0]
    assert {m["frame"] for m in own["measures"]} == set(range(12))
    assert all(0 <= own["positions"][name]["auc"] <= 1 for name in NAMES)
    tracked = [m for m in own["measures"] if m["frame"] > 0]
    assert all(set(m["positions"]) == set(NAMES) for m in tracked)
    assert all(0 < m["attention"]["on_object"] + m["attention"]["pointers"] <= 1.0001 for m in tracked if m["in_sight"])
    page = html.read_text()
    assert "http" not in re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]*", "", page)
    assert page.count("data:image/jpeg") > 40
    masks = sorted((tmp_path / "davis" / "Annotations").glob("*/*.png"))
    pictures = sorted((tmp_path / "davis" / "JPEGImages").glob("*/*.jpg"))
    assert len(masks) == len(pictures) == 24
    np.testing.assert_array_equal(read_labels(masks[0]), read_labels(scene.masks / "00000.png"))


def test_what_was_written_can_be_diagnosed(cli: Cli, trained_bundle: Path, scenes: list[Scene], tmp_path: Path) -> None:
    scene = scenes[1]
    words = ("diagnose", trained_bundle, scene.frames, "--truth", scene.masks, "--no-attention", "--threads", 1)
    code, out, _ = cli(*words, "--transform", "viewpoint:1", "--write", tmp_path / "davis")
    assert code == 0
    (frames,), (masks,) = (list((tmp_path / "davis" / kind).iterdir()) for kind in ("JPEGImages", "Annotations"))
    code, again, _ = cli("diagnose", trained_bundle, frames, "--truth", masks, "--threads", 1)
    assert code == 0
    first, second = (re.search(rf"{name} +(\S+)", text) for name, text in (("viewpoint:1", out), ("as it is", again)))
    assert first is not None
    assert second is not None
    assert float(first[1]) == pytest.approx(float(second[1]), abs=0.1)  # JPEG costs a little


def test_prompts_name_objects_of_the_truth(cli: Cli, trained_bundle: Path, scenes: list[Scene], tmp_path: Path) -> None:
    scene, found = scenes[0], tmp_path / "report.json"
    words = ("diagnose", trained_bundle, scene.frames, "--truth", scene.masks, "--json", found, "--no-attention")
    code, _, _ = cli(*words, *scene.words()[:2], "--start", 0, "--stride", 2, "--threads", 1)
    assert code == 0
    report = json.loads(found.read_text())
    assert report["objects"] == [1]
    assert [m["frame"] for m in report["side"]["conditions"][0]["measures"]] == [0, 2, 4, 6, 8, 10]
    assert all(m["attention"] is None for m in report["side"]["conditions"][0]["measures"])


def test_without_a_truth_only_what_needs_none_is_measured(
    cli: Cli, trained_bundle: Path, scenes: list[Scene], tmp_path: Path
) -> None:
    scene, found, html = scenes[0], tmp_path / "report.json", tmp_path / "report.html"
    words = ("diagnose", trained_bundle, scene.frames, *scene.words(), "--json", found, "--html", html)
    code, out, _ = cli(*words, "--threads", 1)
    assert code == 0
    assert "Without --truth nothing is judged" in out
    condition = json.loads(found.read_text())["side"]["conditions"][0]
    third = next(m for m in condition["measures"] if m["frame"] == 3)
    assert (third["j"], third["in_sight"], condition["j"], condition["findings"]) == (None, None, None, [])
    assert third["positions"]["image embedding"]["auc"] is None
    assert third["positions"]["image embedding"]["distance"] > 0
    assert 0 < third["pointer_cosine"] <= 1
    assert set(third["attention"]["by_frame"]) == {"0", "1", "2"}
    assert "nothing is" in html.read_text()


def test_another_memory_policy_is_compared(cli: Cli, trained_bundle: Path, scenes: list[Scene]) -> None:
    scene = scenes[0]
    words = ("diagnose", trained_bundle, scene.frames, "--truth", scene.masks, "--threads", 1, "--no-attention")
    code, out, _ = cli(*words, "--against-memory", "sam3:min_effective_iou=0.5")
    assert code == 0
    assert "less this" in out


def test_frames_that_a_policy_does_not_keep_are_measured(
    cli: Cli, trained_bundle: Path, scenes: list[Scene], tmp_path: Path
) -> None:
    """On frame 1 only the prompted one is known: all is as under SAM 2's policy, but that there is no memory of it."""
    scene, found = scenes[0], tmp_path / "report.json"
    words = ("diagnose", trained_bundle, scene.frames, "--truth", scene.masks, "--threads", 1, "--no-attention")
    read = []
    for memory in ("sam2", "last_seen:min_effective_iou=1"):
        code, _, err = cli(*words, "--memory", memory, "--json", found)
        assert (code, err) == (0, "")
        measures = json.loads(found.read_text())["side"]["conditions"][0]["measures"]
        read.append([m["positions"] for m in measures if m["frame"] == 1])
    usual, unkept = read
    assert all(usual)
    assert unkept == [{name: each for name, each in one.items() if name != "memory"} for one in usual]


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of four frames whose size is not that of the scenes."""
    folder: Path = write_noise(tmp_path_factory.mktemp("noise"), 4)
    return folder


def test_bad_input_is_one_line(
    cli: Cli, trained_bundle: Path, sam_bundle: Path, scenes: list[Scene], noise: Path, tmp_path: Path
) -> None:
    scene = scenes[0]
    fewer, absent = tmp_path / "fewer", tmp_path / "absent"
    shutil.copytree(scene.masks, fewer)
    (fewer / "00007.png").unlink()
    shutil.copytree(scene.masks, absent)
    Image.fromarray(np.zeros((128, 128), np.uint8)).save(absent / "00000.png")
    clip = (trained_bundle, scene.frames)
    true = (*clip, "--truth", scene.masks)
    for words, message in (
        (clip, "nothing to follow; give --truth MASKS"),
        ((*clip, "--truth", fewer), "frame 7 has no true mask"),
        ((trained_bundle, noise, "--truth", scene.masks), "masks of frame 0 are 128 x 128"),
        ((*clip, "--truth", absent), "the truth has no object on frame 0"),
        ((*clip, "--truth", absent, "--point", "1:60,60"), "object 1 is prompted on frame 0, where the truth has none"),
        ((*true, "--point", "9:60,60"), "object 9 is prompted on frame 0, where the truth has 1, 2"),
        ((sam_bundle, scene.frames, "--truth", scene.masks), "segments single images"),
        ((*true, "--transform", "fog"), "there is no such transformation; give one of occlusion"),
        ((*true, "--transform", "speed:7"), "levels are 1, 2 and 3"),
        ((*clip, "--point", "60,60", "--transform", "speed"), "--transform moves true masks along"),
        ((*true, "--point", "1@3:60,60", "--transform", "speed"), "prompt on frame 0, the first, alone"),
        ((*true, "--write", tmp_path / "davis"), "nothing to write; give --transform"),
        ((*true, "--html", tmp_path / "nowhere" / "x.html"), "there is no folder"),
        ((*true, "--memory", "elephant"), "no memory policy 'elephant'"),
        ((*true, "--against", tmp_path / "none.bundle"), "no such bundle"),
        ((*true, "--point", "1@99:60,60"), "99"),
    ):
        code, out, err = cli("diagnose", *words, "--threads", 1)
        assert (code, out) == (2, ""), (words, err)
        assert err.count("\n") == 1, err
        assert message in err, err


def test_the_help_names_what_there_is(cli: Cli) -> None:
    code, out, _ = cli("diagnose", "--help")
    assert code == 0
    for word in ("--truth", "--transform", "--against", "--html", "--json", "--write", "--no-attention"):
        assert word in out
