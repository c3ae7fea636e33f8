"""Concepts: figures of scripted detectors and trackers that differ in a known way; and `masklet calibrate --text` on a
SAM 3 with random weights, its figures against those of two runs, matched anew.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from command_line import Cli
from masklet.calibration.clips.clips import Clip, check_clips, run
from masklet.calibration.clips.truth import MaskLines
from masklet.calibration.scoring.closed_loop import Figures, evaluate
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import ModelSpec
from masklet.runtime.concepts.concept import Concept
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.errors import CalibrationError
from masklet.runtime.prompts.prompts import Points
from masklet.runtime.sinks.json_lines import MasksJsonl
from noise_clip import write_noise
from PIL import Image
from pycocotools import mask as coco
from scipy.optimize import linear_sum_assignment
from scripted_concepts import MODEL, Script, disc, sessions

FRAMES = 5
WORDS = ("--text", "car", "--text", "a red bus", "--min-score", "0.05", "--hotstart", "3", "--threads", "1")


IMAGES = msgspec.structs.replace(MODEL, pipeline="image", memory=None)


@pytest.mark.parametrize("model", [MODEL, IMAGES], ids=["video", "images"])
def test_an_instance_that_is_missed_for_two_frames_is_lost_twice(model: ModelSpec, tmp_path: Path) -> None:
    full, low = Script(6), Script(6)
    for t in range(6):
        for script, score, there in ((full, 0.9, True), (low, 0.8, t >= 2)):
            script.see(t, disc(9, 10, 5), actor=1)
            script.track(t, 1, disc(9, 10, 5))
            if there:
                script.see(t, disc(22, 20, 5), score=score, actor=2)
                script.track(t, 2, disc(22, 20, 5))
    figures = scripted_figures(full, low, model, tmp_path)
    assert (figures.frames, figures.lost, figures.gained, figures.switched) == (6, 2, 0, 0)
    assert figures.matched_iou == 1
    assert figures.iou == pytest.approx(10 / 12)
    assert figures.score_difference == pytest.approx(4 * 0.1 / 10, abs=1e-4)
    back = scripted_figures(low, full, model, tmp_path)
    assert (back.lost, back.gained) == (0, 2)


def scripted_figures(full: Script, low: Script, model: ModelSpec, folder: Path) -> Figures:
    """What the closed loop says of a script in the place of FP32 and another in that of a low precision."""
    frames = folder / "frames"
    frames.mkdir(exist_ok=True)
    for frame in full.frames():
        Image.fromarray(frame.image).save(frames / f"{frame.index:03d}.png")
    clip = Clip(str(frames), {}, {}, (Concept("car"),), ConceptOptions.of(0.5, hotstart=0))
    with MasksJsonl(folder / "full.jsonl") as sink:
        for frame, result in run(sessions(full, folder, model)[0], clip):
            sink.write(frame, result)
    masks = [MaskLines(folder / "full.jsonl")]
    return evaluate(sessions(low, folder, model)[0], [clip], masks, lambda _: None).figures


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noise(tmp_path_factory.mktemp("clip"), FRAMES)


def lines(path: Path) -> list[list[dict[str, Any]]]:
    return [json.loads(line)["objects"] for line in path.read_text().splitlines()]


def compared(full: list[dict[str, Any]], low: list[dict[str, Any]]) -> tuple[list[float], list[float], int, int]:
    """IoUs and differences of scores of the instances that are the same, and how many are lost and gained."""
    ious = np.zeros((len(full), len(low)))
    if full and low:
        ious[:] = coco.iou([one["segmentation"] for one in full], [one["segmentation"] for one in low], [0] * len(low))
        ious *= [[one["phrase"] == other["phrase"] for other in low] for one in full]
    pairs = [(n, m) for n, m in zip(*linear_sum_assignment(-ious), strict=True) if ious[n, m] > 0.5]
    scores = [abs(full[n]["score"] - low[m]["score"]) for n, m in pairs]
    return [float(ious[n, m]) for n, m in pairs], scores, len(full) - len(pairs), len(low) - len(pairs)


def test_instances_are_compared_with_fp32s(cli: Cli, sam3_bundle: Path, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "int8.bundle"
    code, text, err = cli("calibrate", sam3_bundle, clip, *WORDS, "-o", out, "--no-search", "--force")
    assert code == 0, err
    assert "instances of car, a red bus" in " ".join(text.split())
    for name, bundle in (("full", sam3_bundle), ("low", out)):
        assert cli("run", bundle, clip, *WORDS, "--masks", tmp_path / f"{name}.jsonl")[0] == 0
    frames = [
        compared(*both) for both in zip(lines(tmp_path / "full.jsonl"), lines(tmp_path / "low.jsonl"), strict=True)
    ]
    ious = [iou for each, _, _, _ in frames for iou in each]
    scores = [score for _, each, _, _ in frames for score in each]
    lost, gained = sum(lost for _, _, lost, _ in frames), sum(gained for _, _, _, gained in frames)
    report = json.loads(out.with_suffix(".report.json").read_bytes())
    assert report["phrases"] == ["car", "a red bus"]
    figures = report["figures"]
    assert len(ious) > FRAMES
    assert figures["matched_iou"] == pytest.approx(np.mean(ious), abs=2e-3)
    assert figures["score_difference"] == pytest.approx(np.mean(scores), abs=2e-3)
    assert (figures["lost"], figures["gained"]) == (lost, gained)
    assert figures["iou"] == pytest.approx(sum(ious) / (len(ious) + lost + gained), abs=2e-3)
    low = {name for name, stage in report["stages"].items() if stage["choice"]["precision"] == "int8"}
    assert {"image_encoder", "text_encoder", "geometry_encoder", "detector", "memory_attention"} <= low
    assert all(report["stages"][name]["ms"] > 0 for name in low)
    size = [sum(file.bytes for file in Bundle.load(bundle).manifest.files()) for bundle in (out, sam3_bundle)]
    assert size[0] < 0.6 * size[1]


def test_fp16(cli: Cli, sam3_bundle: Path, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "fp16.bundle"
    words = ("--end", "2", "--precision", "fp16", "--no-search", "--min-iou", "0.9")
    code, _, err = cli("calibrate", sam3_bundle, clip, *WORDS, "-o", out, *words)
    assert code == 0, err
    assert cli("run", out, clip, *WORDS)[0] == 0


def test_a_model_that_follows_nothing_takes_no_points(sam3_bundle: Path, clip: Path) -> None:
    detector = msgspec.structs.replace(Bundle.load(sam3_bundle).manifest, model=IMAGES)
    given = Clip(str(clip), {0: {1: Points.click(3, 4)}}, {})
    with pytest.raises(CalibrationError, match="give --text"):
        check_clips([given], Bundle(sam3_bundle, detector))


def test_bad_input(cli: Cli, sam3_bundle: Path, nano_bundle: Path, clip: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks.jsonl"
    masks.write_text('{"frame": 0, "objects": []}\n')
    out = tmp_path / "out.bundle"
    cases: list[tuple[Path, tuple[object, ...], str]] = [
        (nano_bundle, WORDS, "has no concept detector"),
        (sam3_bundle, (*WORDS, "--truth", masks), "leave out --truth"),
        (sam3_bundle, (*WORDS, "--point", "1:5,5"), "give them on a later frame"),
        (sam3_bundle, ("--text", "car", "--min-score", "1", "--end", "1"), "'car' finds nothing on any frame"),
        (sam3_bundle, (), "--text"),
    ]
    for bundle, words, said in cases:
        code, _, err = cli("calibrate", bundle, clip, *words, "-o", out)
        assert (code, err.count("error:")) == (2, 1), err
        assert said in err.splitlines()[-1]
    assert not list(tmp_path.glob("*out.bundle*"))
