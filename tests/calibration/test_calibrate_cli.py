"""`masklet calibrate` as a user runs it: the bundle it writes, the report, the gate, and bad input."""

import json
import shutil
import subprocess
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from calibration_scenes import Scene
from command_line import Cli, process_words
from masklet.calibration import calibrate_bundle as command
from masklet.calibration.clips.truth import open_truth
from masklet.calibration.recording import instrumented_sessions as watch
from masklet.calibration.recording import record
from masklet.calibration.scoring.accuracy import region_similarity
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.bundle.writer import write_bundle
from masklet.runtime.errors import CalibrationError
from onnx import numpy_helper
from PIL import Image


@pytest.fixture(scope="module")
def calibrated(trained_bundle: Path, scenes: list[Scene], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An INT8 bundle of two scenes with their truth, searched."""
    out = tmp_path_factory.mktemp("int8") / "int8.bundle"
    points = [f"{n}/{point}" for n, scene in enumerate(scenes, start=1) for point in scene.points]
    words = [word for point in points for word in ("--point", point)]
    words += [str(word) for scene in scenes for word in ("--truth", scene.masks)]
    frames = [scene.frames for scene in scenes]
    line = process_words("calibrate", trained_bundle, *frames, *words, "-o", out, "--precision", "int8", "--threads", 1)
    subprocess.run(line, check=True)
    return out


def test_the_bundle_runs_and_keeps_to_its_bound(
    cli: Cli, calibrated: Path, trained_bundle: Path, scenes: list[Scene], tmp_path: Path
) -> None:
    masks = {}
    for name, bundle in (("full", trained_bundle), ("low", calibrated)):
        path = tmp_path / f"{name}.jsonl"
        assert cli("run", bundle, scenes[0].frames, *scenes[0].words(), "--masks", path)[0] == 0
        masks[name] = open_truth(path)
    ious = [
        region_similarity(low[i], full[i])
        for frame in range(12)
        for low, full in [(masks["low"].masks(frame, (128, 128)) or {}, masks["full"].masks(frame, (128, 128)) or {})]
        for i in full
    ]
    assert len(ious) == 24
    assert 0.98 < np.mean(ious) < 1
    summary = Bundle.load(calibrated).manifest.calibration
    assert summary is not None
    assert summary.within
    assert summary.iou >= summary.min_iou
    size = [sum(f.bytes for f in Bundle.load(b).manifest.files()) for b in (calibrated, trained_bundle)]
    assert size[0] <= 0.45 * size[1]


def test_inspect_and_the_reports_say_what_it_cost(cli: Cli, calibrated: Path) -> None:
    code, out, _ = cli("inspect", calibrated)
    assert code == 0
    assert "within its limits over 24 frames" in " ".join(out.split())
    report = json.loads(calibrated.with_suffix(".report.json").read_bytes())
    assert report["figures"]["frames"] == 24
    assert len(report["curve"]) == 12
    assert len(report["frames_iou"]) == 24
    assert set(report["alone"]) == {"image_encoder", "memory_attention", "mask_decoder", "memory_encoder"}
    assert report["figures"]["jf"] == pytest.approx(report["figures"]["jf_fp32"], abs=0.5)
    html = calibrated.with_suffix(".report.html").read_text()
    assert html.count("data:image/jpeg;base64,") == 18
    assert "http" not in html
    assert "src=" not in html.replace('src="data:', "")


def test_what_must_stay_higher_is_found_and_said(
    cli: Cli, trained_bundle: Path, scenes: list[Scene], tmp_path: Path
) -> None:
    out = tmp_path / "strict.bundle"
    words = ("calibrate", trained_bundle, scenes[0].frames, *scenes[0].words(), "-o", out, "--threads", 1, "--end", 6)
    code, _, err = cli(*words, "--no-search", "--min-iou", 0.9999)
    assert code == 2
    assert "was not written" in err
    assert "the worst stage is image_encoder" in err
    assert not out.exists()
    loose = json.loads(out.with_suffix(".report.json").read_bytes())
    bound = (loose["figures"]["iou"] + 1) / 2
    code, _, err = cli(*words, "--min-iou", bound)
    assert code == 0, err
    report = json.loads(out.with_suffix(".report.json").read_bytes())
    assert report["figures"]["iou"] >= bound
    assert any(stage["choice"]["precision"] == "int8" for stage in report["stages"].values())
    assert any(stage["choice"] != {"precision": "int8", "kept": []} for stage in report["stages"].values())
    assert any(not trial["within"] for trial in report["trials"])
    assert not list(tmp_path.glob(".*"))


def test_force_writes_what_is_beyond_the_bound_and_says_so(
    cli: Cli, trained_bundle: Path, scenes: list[Scene], tmp_path: Path
) -> None:
    out = tmp_path / "forced.bundle"
    words = ("calibrate", trained_bundle, scenes[0].frames, *scenes[0].words(), "-o", out, "--threads", 1, "--end", 3)
    assert cli(*words, "--no-search", "--min-iou", 0.9999, "--force", "--precision", "int8-fp16")[0] == 0
    code, text, _ = cli("inspect", out)
    assert code == 0
    assert "beyond its limits" in " ".join(text.split())
    code, _, err = cli("calibrate", out, scenes[0].frames, *scenes[0].words(), "-o", tmp_path / "twice.bundle")
    assert code == 2
    assert "is already int8-fp16" in err


def test_it_goes_on_after_an_interruption_and_comes_to_the_same(
    trained_bundle: Path, scenes: list[Scene], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from masklet.calibration.clips.clips import Clip
    from masklet.calibration.graphs.low_precision import StagePrecision, lower
    from masklet.calibration.graphs.stage_graph import write_graphs
    from masklet.runtime.prompts.syntax import parse_prompts

    bundle = Bundle.load(trained_bundle)
    prompts = parse_prompts(points=scenes[0].points, negatives=(), boxes=(), masks=())
    clips = [Clip(str(scenes[0].frames), prompts, {})]
    monkeypatch.setattr(record, "SAVE_EVERY", 5)
    monkeypatch.setattr(watch, "SAMPLE", 1024)  # strides differ with the number of memories, also of the small model
    whole = record.record(bundle, clips, tmp_path / "a", seed=0, threads=1, progress=lambda *_: None)

    def stop(what: str, done: int, total: int | None) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record.record(bundle, clips, tmp_path / "b", seed=0, threads=1, progress=stop)
    seen: list[int] = []
    again = record.record(bundle, clips, tmp_path / "b", seed=0, threads=1, progress=lambda _, n, __: seen.append(n))
    assert seen == list(range(6, 13))
    for name in ("masks-000.jsonl", "state"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    for one, other in zip(whole.feeds("mask_decoder", 99), again.feeds("mask_decoder", 99), strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)
    for part, recording in (("a", whole), ("b", again)):
        magnitudes = recording.statistics["memory_attention"]
        low = lower(bundle, "memory_attention", StagePrecision(Precision.INT8), magnitudes, "percentile")
        write_graphs("memory_attention", low.models, tmp_path / part)
    for path in tmp_path.glob("a/memory_attention.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name
    monkeypatch.undo()
    assert len(list((tmp_path / "a" / "feeds").iterdir())) <= record.KEPT_FRAMES


def test_few_feeds_are_kept_of_frames_that_differ(tmp_path: Path) -> None:
    from masklet.runtime.results import Frame

    rng = np.random.default_rng(0)
    keeper = record.FeedKeeper(tmp_path, seed=0)
    for index in range(200):
        keeper.see(Frame(index, 0.0, np.full((32, 32, 3), rng.integers(0, 255), np.uint8)))
        keeper.keep("stage", {"x": np.array([index])})
    assert len(list(tmp_path.iterdir())) <= record.KEPT_FRAMES
    before = keeper.differed
    keeper.see(Frame(0, 0.0, np.rint(np.ones((32, 32, 3)) * keeper.thumbnails[0][0, 0] * 255).astype(np.uint8)))
    assert keeper.differed == before


def test_bad_input(
    cli: Cli, trained_bundle: Path, scenes: list[Scene], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, out = scenes[0].frames, tmp_path / "x.bundle"
    small = tmp_path / "small"
    small.mkdir()
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(small / "00001.png")
    empty = tmp_path / "empty"
    empty.mkdir()
    words = scenes[0].words()
    cases: list[tuple[list[object], str]] = [
        ([frames], "nothing to track"),
        ([frames, "--point", "1@99:5,5"], "frame 99"),
        ([frames, *words, "--truth", tmp_path / "none"], "no such file"),
        ([frames, *words, "--truth", empty], "no masks"),
        ([frames, *words, "--truth", small], "16 x 16 pixels, the source's frames 128 x 128"),
        ([frames, *words, "--truth", small, "--truth", small], "1 sources and 2 of --truth"),
        ([tmp_path / "gone", *words], "no such file"),
        ([empty, *words], "empty"),
    ]
    for given, message in cases:
        code, _, err = cli("calibrate", trained_bundle, *given, "-o", out, "--threads", 1)
        assert code == 2, given
        assert message in err
        assert err.count("\n") == 1
    blank = tmp_path / "blank.png"
    Image.fromarray(np.zeros((128, 128, 3), np.uint8)).save(blank)
    monkeypatch.setattr("masklet.runtime.tracking.video_tracker.fill_holes", lambda logits, area: logits - 1e4)
    code, _, err = cli("calibrate", trained_bundle, blank, "--point", "64,64", "-o", out, "--threads", 1)
    assert code == 2
    assert "object 1 on frame 0 gives an empty mask" in err
    assert not out.exists()
    assert not list(tmp_path.glob(".*"))


def test_agreement_with_nothing_proves_nothing(
    cli: Cli, trained_bundle: Path, scenes: list[Scene], tmp_path: Path
) -> None:
    """An object that FP32 has lost from the second frame on: every pipeline agrees with it, whatever it computes."""
    clip, out = tmp_path / "clip", tmp_path / "low.bundle"
    clip.mkdir()
    shutil.copy(scenes[0].frames / "00000.png", clip / "00000.png")
    for index in range(1, 10):
        Image.fromarray(np.zeros((128, 128, 3), np.uint8)).save(clip / f"{index:05d}.png")
    words = [trained_bundle, clip, *scenes[0].words(), "-o", out, "--threads", 1, "--no-search"]
    code, _, err = cli("calibrate", *words)
    assert code == 2
    assert "FP32 itself has a mask in 0 of 18 object frames after the prompts, so agreement with it proves" in err
    assert not out.exists()
    code, said, err = cli("calibrate", *words, "--force")
    assert code == 0, err
    assert "masklet: warning: FP32 itself has a mask in 0 of 18 object frames" in err
    assert "FP32 has a mask in 0 of 18 object frames after the prompts" in " ".join(said.split())
    assert out.exists()


def test_not_a_number_is_named(cli: Cli, trained_bundle: Path, scenes: list[Scene], tmp_path: Path) -> None:
    bundle = Bundle.load(trained_bundle)
    with write_bundle(tmp_path / "nan.bundle") as writer:
        for file in bundle.manifest.files():
            shutil.copy(trained_bundle / file.path, writer.root / file.path)
        path = writer.root / "memory_encoder.onnx"
        model = onnx.load(path)
        bias = next(t for t in model.graph.initializer if t.name == "out.bias")
        bias.CopyFrom(numpy_helper.from_array(np.full(bias.dims, np.nan, np.float32), bias.name))
        onnx.save(model, path, save_as_external_data=True, location="memory_encoder.weights")
        for artifact in bundle.manifest.artifacts:
            writer.add(artifact.stage, artifact.format, Precision.FP32, [file.path for file in artifact.files])
        writer.seal(bundle.model, bundle.manifest.checkpoint)
    code, _, err = cli(
        "calibrate", tmp_path / "nan.bundle", scenes[0].frames, *scenes[0].words(), "-o", tmp_path / "y.bundle"
    )
    assert code == 2
    assert "stage 'memory_encoder', tensor 'conv2d" in err


def test_a_full_disk_leaves_nothing(
    cli: Cli, trained_bundle: Path, scenes: list[Scene], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savez", full)
    code, _, err = cli(
        "calibrate", trained_bundle, scenes[0].frames, *scenes[0].words(), "-o", tmp_path / "z.bundle", "--threads", 1
    )
    assert code == 2
    assert "No space left on device" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("family", ["sam", "mobile_sam"])
def test_only_fp32_video_bundles_are_taken(family: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(CalibrationError, match="segments prompted objects in images"):
        command._check_full(Bundle.load(request.getfixturevalue(f"{family}_bundle")))


def test_the_summary_survives_the_manifest(calibrated: Path) -> None:
    manifest = Bundle.load(calibrated).manifest
    assert msgspec.json.decode(msgspec.json.encode(manifest), type=type(manifest)) == manifest


def test_a_package_of_the_extra_that_is_missing_is_named(
    cli: Cli, scenes: list[Scene], trained_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "masklet.runtime.extras.installed_version", lambda package: None if package == "jinja2" else "1.0"
    )
    code, _, err = cli("calibrate", trained_bundle, scenes[0].frames, "--point", "60,60", "-o", tmp_path / "low.bundle")
    assert code == 2
    assert err == "masklet: error: calibrating needs jinja2; pip install 'masklet[calibrate]'\n"
