"""Held-out scenes on disk."""

import pytest
from calibration_scenes import Scene
from clicks import centre_click
from folder import write_clip
from scenes import held_out


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Scene]:
    """Two cluttered scenes of 12 frames with two objects."""
    found = []
    for number, clip in enumerate(held_out("cluttered", 2, frames=12)):
        folder = tmp_path_factory.mktemp(f"scene{number}")
        write_clip(folder, clip.frames, clip.labels)
        clicks = {label: centre_click(clip.labels[0] == label) for label in clip.ids}
        points = tuple(f"{label}:{x},{y}" for label, (x, y) in clicks.items())
        found.append(Scene(folder / "frames", folder / "masks", points))
    return found
