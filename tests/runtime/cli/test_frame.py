"""`masklet frame`: the picture is the source's frame, and its lines stand where the labels say."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import Cli
from masklet.runtime.pixels.grid import STEPS, draw_grid, grid_step


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three plain frames of 200 x 120 pixels, each of its own grey."""
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((120, 200, 3), 40 * index, np.uint8))
    return tmp_path


def test_a_frame_without_a_grid_is_the_sources_own(cli: Cli, folder: Path) -> None:
    out = folder.parent / "out.png"
    code, said, _ = cli("frame", folder, "--at", 2, "--no-grid", "-o", out)
    assert (code, said.strip()) == (0, f"{out}: frame 2 of {folder}, 200x120")
    assert np.array_equal(np.asarray(cv2.imread(str(out))), np.full((120, 200, 3), 80, np.uint8))


def test_lines_stand_at_round_coordinates(cli: Cli, folder: Path) -> None:
    out = folder.parent / "grid.png"
    code, said, _ = cli("frame", folder, "--at", 1, "-o", out)
    assert code == 0
    assert "lines every 20 pixels" in said
    row = np.asarray(cv2.imread(str(out)))[59, :, 0].astype(int)  # between two lines, right of the labels
    assert [x for x in range(30, 200) if row[x] > 100] == list(range(40, 200, 20))


@pytest.mark.parametrize("side", [64, 128, 480, 1080, 4000])
def test_there_are_about_a_dozen_lines(side: int) -> None:
    step = grid_step((side // 2, side))
    assert step in STEPS
    assert 4 <= side / step <= 20
    image = np.zeros((side // 2, side, 3), np.uint8)
    assert draw_grid(image).shape == image.shape
    assert not image.any()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere.mp4", "-o", "f.png"), "nowhere.mp4: no such file or folder"),
        (("{folder}", "--at", "3", "-o", "f.png"), "start 3 is beyond its last frame, 2"),
        (("{folder}", "-o", "f.jpg"), "f.jpg: is written as PNG"),
        (("{folder}", "-o", "no/f.png"), "there is no folder no"),
        (("{folder}", "-o", "f.png", "--rate", "5"), "a file has its own size, rate and pixel format"),
    ],
)
def test_bad_input_is_one_line(cli: Cli, folder: Path, words: tuple[str, ...], message: str) -> None:
    code, _, err = cli("frame", *(word.format(folder=folder) for word in words))
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
