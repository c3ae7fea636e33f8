"""What the README shows runs as it stands: its commands and its Python, on the checkpoint that ships."""

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from snippets import run_snippet, snippets

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture(scope="module")
def folder(nano_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the README's bundle and clip."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(nano_bundle, folder / "tiny.bundle")
    video = cv2.VideoWriter(str(folder / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (960, 540))
    for t in range(4):
        image = np.full((540, 960, 3), 90, np.uint8)
        cv2.circle(image, (470 + 5 * t, 270), 80, (40, 60, 220), -1)
        video.write(image)
    video.release()
    return folder


def test_the_python_of_the_readme_runs(folder: Path) -> None:
    (code,) = [code for language, code in snippets(README) if language == "python"]
    assert run_snippet("python", code, folder).count("[1]") == 4


def test_the_commands_of_the_readme_run(folder: Path) -> None:
    lines = re.findall(r"^    (masklet run .*)$", README.read_text(), re.MULTILINE)
    assert lines
    for line in lines:
        run_snippet("sh", line, folder)
    assert (folder / "overlay.mp4").stat().st_size > 0
    assert len((folder / "masks.jsonl").read_text().splitlines()) == 4
