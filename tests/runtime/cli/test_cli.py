"""The command line as a user meets it: what it writes, and one line for everything that can be wrong."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from command_line import Cli, process_words
from pycocotools import mask as coco

WIDTH, HEIGHT, FRAMES = 96, 64, 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FRAMES images of a moving square."""
    folder = tmp_path_factory.mktemp("clip") / "frames"
    folder.mkdir()
    for t in range(FRAMES):
        image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        image[20:40, 20 + 2 * t : 40 + 2 * t] = (40, 60, 220)
        cv2.imwrite(str(folder / f"{t:03d}.png"), image)
    return folder


@pytest.fixture
def broken(nano_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the bundle for a test to spoil."""
    return Path(shutil.copytree(nano_bundle, tmp_path / "broken.bundle"))


def one_line(err: str) -> str:
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == 1, err
    assert lines[0].startswith("masklet: error: ")
    assert "Traceback" not in err
    return lines[0]


def test_a_run_writes_what_was_asked_for(cli: Cli, nano_bundle: Path, folder: Path, tmp_path: Path) -> None:
    outputs = {"-o": tmp_path / "o.mp4", "--masks": tmp_path / "m.jsonl", "--pngs": tmp_path / "pngs"}
    words = [word for option in outputs.items() for word in option]
    code, _, err = cli("run", nano_bundle, folder, "--point", "30,30", "--box", "2@3:10,10,50,50", *words)
    assert code == 0, err
    lines = [json.loads(line) for line in outputs["--masks"].read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(FRAMES))
    assert [[o["id"] for o in line["objects"]] for line in lines] == [[1]] * 3 + [[1, 2]] * (FRAMES - 3)
    for line in lines:
        for found in line["objects"]:
            decoded = coco.decode(found["segmentation"])
            assert decoded.shape == (HEIGHT, WIDTH)
            assert found["bbox"] == coco.toBbox(found["segmentation"]).tolist()
    with av.open(str(outputs["-o"])) as video:
        assert sum(1 for _ in video.decode(video=0)) == FRAMES
    assert len(list(outputs["--pngs"].iterdir())) == FRAMES


def test_a_cut_runs_only_its_frames(cli: Cli, nano_bundle: Path, folder: Path, tmp_path: Path) -> None:
    masks = tmp_path / "m.jsonl"
    cut = ("--start", 1, "--end", 7, "--stride", 2, "--max-side", 48)
    code, _, err = cli("run", nano_bundle, folder, "--point", "@3:15,15", "--masks", masks, *cut)
    assert code == 0, err
    lines = [json.loads(line) for line in masks.read_text().splitlines()]
    assert [line["frame"] for line in lines] == [1, 3, 5]
    assert lines[-1]["objects"][0]["segmentation"]["size"] == [32, 48]


def test_reverse_runs_from_the_end(cli: Cli, nano_bundle: Path, folder: Path, tmp_path: Path) -> None:
    masks = tmp_path / "m.jsonl"
    code, _, err = cli("run", nano_bundle, folder, "--point", "@7:40,30", "--masks", masks, "--reverse")
    assert code == 0, err
    frames = [json.loads(line)["frame"] for line in masks.read_text().splitlines()]
    assert frames == list(range(FRAMES))[::-1]


@pytest.mark.parametrize("verb", ["run", "profile"])
def test_a_run_that_cannot_begin_replaces_nothing(
    cli: Cli, nano_bundle: Path, folder: Path, tmp_path: Path, verb: str
) -> None:
    masks, overlay = tmp_path / "masks.jsonl", tmp_path / "overlay.mp4"
    for path in (masks, overlay):
        path.write_text("of yesterday")
    words = ("--point", "40,30", "--masks", masks, "--overlay" if verb == "profile" else "-o", overlay)
    code, _, err = cli(verb, nano_bundle, folder, *words, "--backend", "tensorrt")
    assert (code, len(err.splitlines())) == (2, 1), err
    assert [path.read_text() for path in (masks, overlay)] == ["of yesterday"] * 2


BAD_PROMPTS = [
    ((), "nothing to track"),
    (("--point", "500,10"), "outside the frame of 96x64"),
    (("--point", "nan,10"), "finite"),
    (("--point", "ten,10"), "expected [ID][@FRAME]:X,Y"),
    (("--box", "10,10,10,40"), "has no area"),
    (("--box", "50,10,20,40"), "has no area"),
    (("--box", "50,10,200,40"), "beyond the frame"),
    (("--point", "@99:10,10"), "frame 99"),
    (("--mask", "missing.png"), "missing.png"),
    (("--point", "0:10,10"), "object id 0"),
]


@pytest.mark.parametrize(("prompts", "message"), BAD_PROMPTS)
def test_bad_prompts(
    cli: Cli, nano_bundle: Path, folder: Path, tmp_path: Path, prompts: tuple[str, ...], message: str
) -> None:
    code, _, err = cli("run", nano_bundle, folder, *prompts, "--masks", tmp_path / "m.jsonl")
    assert code == 2
    assert message in one_line(err)


def test_a_mask_of_another_size(cli: Cli, nano_bundle: Path, folder: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "mask.png"), np.full((10, 20), 255, np.uint8))
    code, _, err = cli("run", nano_bundle, folder, "--mask", tmp_path / "mask.png")
    assert code == 2
    assert "the mask is 20x10 pixels, but the frame is 96x64" in one_line(err)


def corrupt_video(tmp_path: Path) -> Path:
    (tmp_path / "corrupt.mp4").write_bytes(b"\x00\x01not a video" * 100)
    return tmp_path / "corrupt.mp4"


def empty_folder(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def two_sizes(tmp_path: Path) -> Path:
    (tmp_path / "sizes").mkdir()
    for name, size in (("a.png", 32), ("b.png", 48)):
        cv2.imwrite(str(tmp_path / "sizes" / name), np.zeros((size, size, 3), np.uint8))
    return tmp_path / "sizes"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p / "nowhere.mp4", "nowhere.mp4"),
        (corrupt_video, "corrupt.mp4"),
        (empty_folder, "empty"),
        (two_sizes, "b.png"),
        (lambda p: "ftp://camera", "ftp"),
    ],
)
def test_bad_sources(cli: Cli, nano_bundle: Path, tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    code, _, err = cli("run", nano_bundle, make(tmp_path), "--point", "5,5")
    assert code == 2
    assert message in one_line(err)


def test_a_truncated_bundle(cli: Cli, broken: Path, folder: Path) -> None:
    graph = next(broken.glob("memory_encoder*.onnx"))
    graph.write_bytes(graph.read_bytes()[:100])
    code, _, err = cli("run", broken, folder, "--point", "5,5")
    assert code == 2
    assert "has 100 bytes" in one_line(err)


def test_an_altered_graph(cli: Cli, broken: Path, folder: Path) -> None:
    weights = broken / "image_encoder.weights"
    content = bytearray(weights.read_bytes())
    content[1000] ^= 1
    weights.write_bytes(content)
    code, _, err = cli("run", broken, folder, "--point", "5,5")
    assert code == 2
    assert "image_encoder.weights was altered" in one_line(err)


def test_a_bundle_that_is_none(cli: Cli, folder: Path, tmp_path: Path) -> None:
    for verb in (("run", tmp_path / "no.bundle", folder, "--point", "5,5"), ("inspect", tmp_path / "no.bundle")):
        code, _, err = cli(*verb)
        assert code == 2
        assert "no such bundle; make one with `masklet export" in one_line(err)


@pytest.mark.parametrize("option", ["-o", "--masks", "--pngs"])
def test_an_output_that_cannot_be_written(cli: Cli, nano_bundle: Path, folder: Path, option: str) -> None:
    code, _, err = cli("run", nano_bundle, folder, "--point", "30,30", option, "/nowhere/at/all.mp4")
    assert code == 2
    assert "/nowhere" in one_line(err)


def test_the_source_is_never_overwritten(cli: Cli, nano_bundle: Path, folder: Path) -> None:
    image = folder / "000.png"
    before = image.read_bytes()
    code, _, err = cli("run", nano_bundle, image, "--point", "30,30", "--masks", image)
    assert code == 2
    assert "is the source itself" in one_line(err)
    assert image.read_bytes() == before


def test_a_full_disk(cli: Cli, nano_bundle: Path, folder: Path) -> None:
    code, _, err = cli("run", nano_bundle, folder, "--point", "30,30", "--masks", "/dev/full")
    assert code == 2
    assert "/dev/full" in err
    assert "Traceback" not in err


def test_an_unknown_verb_and_an_unknown_option_are_usage_errors(cli: Cli, nano_bundle: Path) -> None:
    assert cli("fly")[0] == 2
    assert cli("inspect", nano_bundle, "--wings")[0] == 2


def test_inspect_shows_stages_and_the_bank(cli: Cli, nano_bundle: Path) -> None:
    code, out, _ = cli("inspect", nano_bundle)
    assert code == 0
    for word in ("image_encoder", "memory_attention", "onnx-ort", "memory bank", "objects x memories"):
        assert word in out
    code, out, _ = cli("inspect", nano_bundle, "--json")
    told = json.loads(out)
    tokens, pointers, channels = 14 * 64 * 64, 23, 128
    assert told["sums"]["bank_bytes_per_object"] == 4 * (tokens + pointers * channels)
    files = sum(p.stat().st_size for p in nano_bundle.iterdir() if not p.name.startswith("manifest"))
    assert told["sums"]["bundle_bytes"] == files


def test_doctor_names_what_runs_what(cli: Cli) -> None:
    code, out, _ = cli("doctor")
    assert code == 0
    assert "CPUExecutionProvider" in out
    assert "transformers" in out
    for extra in ("export", "calibrate", "feeds", "text", "openvino"):
        assert extra in out
    code, out, _ = cli("doctor", "--json")
    found = json.loads(out)
    assert found["packages"]["export"]["onnx"] == version("onnx")
    assert found["packages"]["masklet"]["numpy"] == version("numpy")
    assert any(line.startswith("ONNX Runtime") for line in found["engines"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_it_wrote(
    nano_bundle: Path, folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    long = tmp_path / "long"
    long.mkdir()
    for t in range(3000):
        os.link(folder / f"{t % FRAMES:03d}.png", long / f"{t:05d}.png")
    masks, overlay = tmp_path / "m.jsonl", tmp_path / "o.mp4"
    words = ["run", nano_bundle, long, "--point", "30,30", "--masks", masks, "-o", overlay, "--threads", "1"]
    run = subprocess.Popen(process_words(*words), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (masks.exists() and masks.read_text().count("\n") > 20):
        time.sleep(0.05)
    run.send_signal(number)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    lines = [json.loads(line) for line in masks.read_text().splitlines()]
    assert 20 < len(lines) < 3000
    with av.open(str(overlay)) as video:
        assert abs(sum(1 for _ in video.decode(video=0)) - len(lines)) <= 1
