"""Held-out scenes on disk, and the checkpoint that ships at lower precisions."""

from pathlib import Path

import pytest
from calibration_scenes import Scene
from clicks import centre_click
from folder import write_clip
from made_once import made_once
from masklet.runtime.prompts.syntax import parse_prompts
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


def lowered(factory: pytest.TempPathFactory, bundle: Path, scene: Scene, precision: str) -> Path:
    """The bundle of the checkpoint that ships with every stage at a lower precision, whatever that costs."""
    from masklet.calibration.calibrate_bundle import CalibrationRequest, run_calibrate
    from masklet.calibration.clips.clips import Clip
    from masklet.calibration.scoring.closed_loop import Bound
    from masklet.runtime.bundle.bundle import BundleChoice
    from masklet.runtime.bundle.precision import Precision

    def make(path: Path) -> None:
        prompts = parse_prompts(points=scene.points, negatives=[], boxes=[], masks=[])
        request = CalibrationRequest(
            bundle=BundleChoice(bundle),
            output=path,
            precision=Precision(precision),
            method="percentile",
            bound=Bound(0.5, 0.985),
            search=False,
            seed=0,
            threads=1,
            force=True,
        )
        run_calibrate(request, [Clip(str(scene.frames), prompts, {})], [])

    return made_once(factory, f"{precision}.bundle", make)


@pytest.fixture(scope="session")
def int8_bundle(tmp_path_factory: pytest.TempPathFactory, trained_bundle: Path, scenes: list[Scene]) -> Path:
    """Every stage in INT8."""
    return lowered(tmp_path_factory, trained_bundle, scenes[0], "int8")


@pytest.fixture(scope="session")
def fp16_bundle(tmp_path_factory: pytest.TempPathFactory, trained_bundle: Path, scenes: list[Scene]) -> Path:
    """Every stage in FP16."""
    return lowered(tmp_path_factory, trained_bundle, scenes[0], "fp16")
