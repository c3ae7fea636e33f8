"""`masklet run --memory`: another policy than the model's own; policies that cannot be leave nothing behind."""

import json
from pathlib import Path

import pytest
from command_line import Cli
from noise_clip import write_noise


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    folder.mkdir()
    return write_noise(folder, 6)


def test_a_policy_is_used_and_its_state_is_its_own(cli: Cli, nano_bundle: Path, clip: Path, tmp_path: Path) -> None:
    masks, state = tmp_path / "masks.jsonl", tmp_path / "state"
    words = ("run", nano_bundle, clip, "--point", "40,30", "--masks", masks, "--state", state, "--threads", 1)
    code, _, err = cli(*words, "--memory", "dam4sam:stride=2", "--end", 4)
    assert code == 0, err
    before = masks.read_text()
    assert [json.loads(line)["frame"] for line in before.splitlines()] == [0, 1, 2, 3]
    for other in ("sam2", "dam4sam"):
        code, _, err = cli(*words, "--memory", other)
        assert (code, err.count("\n")) == (2, 1)
        assert f"saved with --memory dam4sam:stride=2, not {other}" in err
        assert masks.read_text() == before
    assert cli(*words, "--memory", "dam4sam:stride=2")[0] == 0
    assert len(masks.read_text().splitlines()) == 6


@pytest.mark.parametrize(
    ("memory", "said"),
    [
        ("elephant", "no memory policy 'elephant'; known: dam4sam, last_seen, sam2, sam3, samurai"),
        ("last_seen:frames=0", "frames 0 is out of range; give 1 to 100"),
        ("dam4sam:speed=3", "dam4sam has no option 'speed'; it has min_iou"),
        ("samurai", "export it again with --candidate-pointers"),
    ],
)
def test_a_policy_that_cannot_be_is_one_line_and_leaves_nothing(
    cli: Cli, nano_bundle: Path, clip: Path, tmp_path: Path, memory: str, said: str
) -> None:
    masks = tmp_path / "masks.jsonl"
    code, out, err = cli("run", nano_bundle, clip, "--point", "40,30", "--masks", masks, "--memory", memory)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert not masks.exists()


def test_an_image_bundle_has_no_memory(cli: Cli, sam_bundle: Path, clip: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks.jsonl"
    code, out, err = cli("run", sam_bundle, clip, "--point", "40,30", "--masks", masks, "--memory", "sam2")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "segments images, not videos" in err
    assert not masks.exists()
