"""What the tests of `masklet profile` share."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import Cli
from masklet.profiles.machine.cpu_peaks import Machine

FRAMES = 12


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FRAMES images of a moving square."""
    folder = tmp_path_factory.mktemp("profile") / "frames"
    folder.mkdir()
    for t in range(FRAMES):
        image = np.full((64, 96, 3), 90, np.uint8)
        image[20:40, 20 + 2 * t : 40 + 2 * t] = (40, 60, 220)
        cv2.imwrite(str(folder / f"{t:03d}.png"), image)
    return folder


@pytest.fixture
def profile(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run `masklet profile` on a machine whose peaks are given."""
    monkeypatch.setattr("masklet.profiles.pipeline.measure", lambda threads, **_: Machine(100.0, 10.0, threads))
    return lambda *words: cli("profile", *words)
