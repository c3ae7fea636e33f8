"""`masklet profile` with phrases, on a bundle with random weights."""

import json
from pathlib import Path

import pytest
from command_line import Cli
from noise_clip import write_noise

FRAMES = 12
EASY = ("--text", "car", "--text", "a red bus", "--min-score", "0.05", "--threads", 1)
FOUND = ("geometry_encoder", "detector", "mask_head")
TRACKED = ("memory_attention", "mask_decoder", "memory_encoder")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noise(tmp_path_factory.mktemp("clip"), frames=FRAMES)


@pytest.mark.parametrize(("hotstart", "warmup"), [(0, 7), (10, 9)])
def test_every_frame_is_accounted_for_also_where_results_come_late(
    profile: Cli, sam3_bundle: Path, clip: Path, tmp_path: Path, hotstart: int, warmup: int
) -> None:
    report, masks = tmp_path / "p.json", tmp_path / "masks.jsonl"
    words = (*EASY, "--hotstart", hotstart, "--max-side", 64, "--json", report, "--masks", masks)
    code, out, err = profile(sam3_bundle, clip, *words)
    assert code == 0, err
    assert f"{FRAMES - warmup} frames measured after {warmup} of warm-up" in out
    found = json.loads(report.read_text())
    assert [stage for stage in found["stages"] if stage in FOUND] == list(FOUND)
    assert set(TRACKED) <= set(found["stages"])
    assert "text_encoder" not in found["stages"]  # the phrases were read before the first frame
    assert found["stages"]["detector"]["calls"] == found["frames"] == FRAMES - warmup
    assert found["series"]["index"] == list(range(warmup, FRAMES))
    assert found["roofline"]["stages"]["detector"]["sizes"] == {"phrases": 2, "tokens": 34}
    assert [stage["uncounted"] for stage in found["roofline"]["stages"].values()] == [[]] * len(found["stages"])
    lines = [json.loads(line) for line in masks.read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(FRAMES))
    delay = max(0, hotstart - 1)
    due = [len(line["objects"]) for line in lines[warmup - delay : FRAMES - delay]]
    assert found["series"]["objects"] == due


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--text", " "), "the phrase ' ' is empty"),
        (("--text", "car", "--point", "3,4"), "give them on a later frame"),
        (("--text", "car", "--sweep", "objects=1,2"), "--sweep goes through numbers of prompted objects"),
        (("--text", "car"), "12 frames leave nothing to measure after 14 of warm-up"),
        (("--exemplar", "0,0,9,9", "--exemplar", "-9,9,20,20"), "a video takes one exemplar"),
        ((), "give at least one of --point, --box, --mask and --text"),
    ],
)
def test_bad_input_is_one_line(
    profile: Cli, sam3_bundle: Path, clip: Path, words: tuple[str, ...], message: str
) -> None:
    code, out, err = profile(sam3_bundle, clip, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_a_bundle_without_the_detector(profile: Cli, nano_bundle: Path, clip: Path) -> None:
    code, _, err = profile(nano_bundle, clip, "--text", "car")
    assert (code, err.count("\n")) == (2, 1)
    assert "has no concept detector" in err
