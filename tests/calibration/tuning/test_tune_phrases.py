"""`masklet tune --text` on a SAM 3 with random weights: the detection interval as a knob, and what runs afterwards."""

import json
from pathlib import Path

import pytest
from command_line import Cli
from masklet.runtime.bundle.bundle import Bundle
from noise_clip import write_noise

WORDS = ("--text", "car", "--min-score", "0.05", "--hotstart", "3", "--threads", "1")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noise(tmp_path_factory.mktemp("clip"), 12)


@pytest.mark.usefixtures("onnxruntime_only")
def test_phrases_are_tuned_by_how_often_the_detector_looks(
    cli: Cli, sam3_bundle: Path, clip: Path, tmp_path: Path
) -> None:
    tuned = tmp_path / "t.bundle"
    line = ("tune", sam3_bundle, clip, *WORDS, "--target-ms", 10_000, "--min-iou", 0, "--minutes", 0.5, "-o", tuned)
    code, _, err = cli(*line)
    assert code == 0, err
    report = json.loads(tuned.with_suffix(".report.json").read_bytes())
    turned = {one["row"]["knobs"].get("detection"): one for one in report["alone"] if one["knob"] == "detection"}
    assert set(turned) == {"detection every 2 frames", "detection every 4 frames"}
    assert not any(one["knob"] == "update" for one in report["alone"])
    detector = {name: one["row"]["stages"]["detector"] for name, one in turned.items()}
    exact = report["exact"]["stages"]["detector"]
    assert detector["detection every 4 frames"] < exact
    tuning = Bundle.load(tuned).manifest.tuning
    assert tuning is not None
    assert tuning.by == "IoU"
    assert {step.attending.update_interval for step in tuning.steps} == {1}
    assert cli("run", tuned, clip, *WORDS[:-2], "--masks", tmp_path / "m.jsonl")[0] == 0
    assert len((tmp_path / "m.jsonl").read_text().splitlines()) == 12


def test_a_phrase_that_finds_nothing_is_one_line(cli: Cli, sam3_bundle: Path, clip: Path, tmp_path: Path) -> None:
    words = ("--text", "car", "--min-score", "1", "--target-ms", 99, "-o", tmp_path / "t.bundle")
    code, _, err = cli("tune", sam3_bundle, clip, *words)
    assert code == 2
    assert "'car' finds nothing" in err.splitlines()[-1]
    assert err.count("error:") == 1
