"""`masklet tune` as a user runs it: the bundle it writes, its reports, what it refuses, Ctrl-C and a full disk."""

import errno
import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from calibration_scenes import Scene
from command_line import Cli
from masklet.calibration.tuning.models import Models
from masklet.calibration.tuning.point import Point
from masklet.calibration.tuning.trial import Trial
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.tracking.video_tracker import VideoTracker


@pytest.fixture(scope="module")
def words(tuned_from: Path, scenes: list[Scene]) -> list[object]:
    """The bundle, the two clips, and the prompts of both."""
    points = [word for n, scene in enumerate(scenes, 1) for p in scene.points for word in ("--point", f"{n}/{p}")]
    return [tuned_from, *(scene.frames for scene in scenes), *points, "--threads", "1"]


def truths(scenes: list[Scene]) -> list[object]:
    return [word for scene in scenes for word in ("--truth", scene.masks)]


def report_of(tuned: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tuned.with_suffix(".report.json").read_bytes())
    return found


def test_the_tuned_bundle_runs_as_it_is(
    cli: Cli, words: list[object], scenes: list[Scene], tuned_from: Path, tmp_path: Path
) -> None:
    tuned = tmp_path / "tuned.bundle"
    code, out, err = cli("tune", *words, *truths(scenes), "--target-ms", 10_000, "--minutes", 0.2, "-o", tuned)
    assert code == 0, err
    assert "the exact pipeline takes about" in err
    assert "of 0.2 minutes for all; the search has the rest" in err
    assert "the search ends within" in err
    said = " ".join(out.split())
    assert "accuracy against true masks, on a clip that was not searched" in said
    tuning = Bundle.load(tuned).manifest.tuning
    assert tuning is not None
    assert (tuning.by, tuning.objects, tuning.target_ms) == ("J&F", 2, 10_000)
    assert tuning.loss <= 1.0
    losses, times = [step.loss for step in tuning.steps], [step.ms for step in tuning.steps]
    assert losses == sorted(losses)
    assert times == sorted(times, reverse=True)
    code, out, _ = cli("inspect", tuned)
    assert code == 0
    assert "tuned: " in out
    masks = tmp_path / "masks.jsonl"
    code, _, err = cli("run", tuned, scenes[0].frames, *scenes[0].words(), "--masks", masks)
    assert code == 0
    assert "masklet: tuned: " in err
    assert len(masks.read_text().splitlines()) == 12
    assert not list(tmp_path.glob(".*"))
    again = ("tune", tuned, scenes[0].frames, *scenes[0].words(), "--target-ms", 50, "-o", tmp_path / "twice")
    code, _, err = cli(*again)
    assert code == 2
    assert "is tuned already; tune the bundle that it was made from" in err


@pytest.mark.usefixtures("onnxruntime_only")
def test_nothing_fits_and_what_was_measured_serves_the_next_command(
    cli: Cli, words: list[object], tmp_path: Path
) -> None:
    tuned, journal = tmp_path / "t.bundle", tmp_path / ".t.bundle.tuning" / "journal.jsonl"
    code, out, err = cli("tune", *words, "--target-ms", 0.01, "--minutes", 0.1, "-o", tuned)
    assert code == 2
    assert not tuned.exists()
    assert "was not written: " in err.splitlines()[-1]
    assert "closest: " in out
    assert "against the exact pipeline, since there were no true masks" in " ".join(out.split())
    report = report_of(tuned)
    assert report["chosen"] is None
    assert report["by"] == "IoU"
    assert "Nothing fits" in tuned.with_suffix(".report.html").read_text()
    before = journal.read_bytes()
    code, out, err = cli("tune", *words, "--target-ms", 10_000, "--minutes", 0.1, "--min-iou", 0.5, "-o", tuned)
    assert code == 0, err
    assert not journal.parent.exists()
    assert before.count(b"\n") >= 4  # the request, and the times of three variants
    html = tuned.with_suffix(".report.html").read_text()
    assert html.count("data:image/jpeg;base64,") in range(3, 19)
    assert "http" not in html


@pytest.mark.usefixtures("onnxruntime_only")
def test_ctrl_c_keeps_what_was_measured(
    cli: Cli, words: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned, journal = tmp_path / "t.bundle", tmp_path / ".t.bundle.tuning" / "journal.jsonl"
    count, run = 0, Trial.run

    def interrupted(trial: Trial, point: Point, **given: Any) -> Any:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return run(trial, point, **given)

    line = ("tune", *words, "--target-ms", 10_000, "--min-iou", 0.9, "-o", tuned, "--minutes")
    monkeypatch.setattr(Trial, "run", interrupted)
    code, _, err = cli(*line, 5)
    assert code == 130
    assert "the same command goes on from it" in err
    assert not tuned.exists()
    kept = journal.read_bytes()
    assert kept.count(b"\n") == 1 + 3 + 2  # the request, three variants, and two trials
    monkeypatch.setattr(Trial, "run", run)
    masks = (tmp_path / ".t.bundle.tuning" / "exact-0.jsonl").stat()
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    assert cli(*line, 0.1)[0] == 0
    assert journal.read_bytes().startswith(kept)
    assert (tmp_path / ".t.bundle.tuning" / "exact-0.jsonl").stat().st_mtime_ns == masks.st_mtime_ns


def test_bad_input_is_one_line(
    cli: Cli, words: list[object], scenes: list[Scene], sam_bundle: Path, tmp_path: Path
) -> None:
    bundle, clip, out = words[0], scenes[0].frames, tmp_path / "x"
    one = [bundle, clip, *scenes[0].words(), "-o", out]
    empty = tmp_path / "empty"
    empty.mkdir()
    cases: list[tuple[list[object], str]] = [
        (one, "give either --target-ms or --target-fps"),
        ([*one, "--target-ms", 9, "--target-fps", 9], "give either --target-ms or --target-fps"),
        ([*one, "--target-ms", 9, "--max-drop", 1], "--max-drop is in points of J&F: give --truth"),
        ([*one, "--target-ms", 9, "--truth", scenes[0].masks, "--min-iou", 0.9], "--min-iou is for clips without"),
        ([*one, "--target-ms", 9, *truths(scenes)], "1 clips and 2 of --truth"),
        ([*one, "--target-ms", 9, "--truth", empty], "no masks"),
        ([*one, "--target-ms", 9, "--with", sam_bundle], "segments images; tuning needs a model that tracks"),
        ([bundle, clip, "--target-ms", 9, "-o", out], "nothing to track"),
        ([bundle, clip, "--point", "1@99:5,5", "--target-ms", 9, "-o", out], "frame 99"),
        ([bundle, tmp_path / "none", "--point", "5,5", "--target-ms", 9, "-o", out], "no such file"),
        ([*one, "--target-ms", 9, "--html", tmp_path / "none" / "p.html"], "none"),
        ([bundle, clip, *scenes[0].words(), "--target-ms", 9, "-o", empty], "exists"),
    ]
    for given, message in cases:
        code, _, err = cli("tune", *given)
        assert code == 2, given
        assert message in err
        assert len(err.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]


@pytest.mark.usefixtures("onnxruntime_only")
def test_a_bundle_of_lower_precision_is_chosen_among(
    cli: Cli, words: list[object], scenes: list[Scene], int8_bundle: Path, tmp_path: Path
) -> None:
    """INT8 stages are tried as a knob of their own, and are what is written where nothing else is in the budget."""
    tuned = tmp_path / "t.bundle"
    line = ("tune", *words, *truths(scenes), "--with", int8_bundle, "--minutes", 0.3, "-o", tuned)
    code, _, err = cli(*line, "--target-ms", 10_000)
    assert code == 0, err
    turned = [one for one in report_of(tuned)["alone"] if one["knob"] == "bundle"]
    assert [one["row"]["knobs"]["bundle"] for one in turned] == ["bundle 2"]
    assert turned[0]["row"]["name"].startswith("bundle 2, 128 px")
    assert turned[0]["row"]["iou"] < 1
    models = Models([Bundle.load(path, check_hashes=False) for path in (tuned_path(words), int8_bundle)], 1)
    point = Point("128", bundle=1)
    assert Precision.INT8 in {a.precision for a in models.bundle((point.bundle, point.form)).manifest.artifacts}
    with models.open(point) as sessions:
        assert sessions.model.form == "128"


def tuned_path(words: list[object]) -> Path:
    """The bundle among the words of the command line."""
    assert isinstance(words[0], Path)
    return words[0]


def test_too_few_minutes_for_the_exact_pipeline_are_refused(
    cli: Cli, words: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found out after a few frames, with the minutes that it takes at least."""
    seen, step = [0], VideoTracker.advance

    def slow(tracker: VideoTracker, *given: Any) -> Any:
        seen[0] += 1
        time.sleep(0.5)
        return step(tracker, *given)

    monkeypatch.setattr(VideoTracker, "advance", slow)
    code, _, err = cli("tune", *words, "--target-ms", 10_000, "--minutes", 0.2, "-o", tmp_path / "t.bundle")
    assert code == 2
    last = err.splitlines()[-1]
    pace = r"the exact pipeline alone takes about 5\d\d\.\d ms a frame, 0\.2 of 0\.2 minutes over 24 frames"
    assert re.search(f"{pace}: give --minutes 0\\.[4-9] or more, or shorten the clips with --end", last)
    assert seen[0] == 4


def test_agreement_with_a_lost_object_proves_nothing(
    cli: Cli, words: list[object], scenes: list[Scene], tmp_path: Path
) -> None:
    clip = tmp_path / "clip"
    clip.mkdir()
    shutil.copy(scenes[0].frames / "00000.png", clip / "00000.png")
    for index in range(1, 8):
        cv2.imwrite(str(clip / f"{index:05d}.png"), np.zeros((128, 128, 3), np.uint8))
    code, _, err = cli("tune", words[0], clip, *scenes[0].words(), "--target-ms", 99, "-o", tmp_path / "x")
    assert code == 2
    assert "the exact pipeline has a mask in 0 of 14 object frames" in err.splitlines()[-1]
    assert not (tmp_path / "x").exists()


@pytest.mark.usefixtures("onnxruntime_only")
def test_a_full_disk_is_one_line_and_leaves_no_bundle(
    cli: Cli, words: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    tuned = tmp_path / "t.bundle"
    code, _, err = cli("tune", *words, "--target-ms", 10_000, "--minutes", 0.1, "--min-iou", 0, "-o", tuned)
    assert code == 2
    assert "No space left on device" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not tuned.exists()
    assert (tmp_path / ".t.bundle.tuning" / "journal.jsonl").exists()  # the same command goes on


def test_a_package_of_the_extra_that_is_missing_is_named(
    cli: Cli, trained_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "masklet.runtime.extras.installed_version", lambda package: None if package == "onnx" else "1.0"
    )
    code, _, err = cli("tune", trained_bundle, tmp_path, "--target-ms", "50", "-o", tmp_path / "tuned")
    assert code == 2
    assert err == "masklet: error: tuning needs onnx; pip install 'masklet[calibrate]'\n"
