"""The notebooks run on the checkpoint that ships, and say what their text says."""

from pathlib import Path

import pytest
from notebooks import FOLDER, execute, names, notebook_pages

ROOT = Path(__file__).parent.parent.parent


def printed(name: str, folder: Path) -> str:
    cells = execute(name, folder).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


@pytest.fixture
def folder(tmp_path: Path, trained_bundle: Path) -> Path:
    """A folder like the repository's root, with the checkpoint exported."""
    (tmp_path / "demos").symlink_to(ROOT / "demos")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "nano.bundle").symlink_to(trained_bundle)
    return tmp_path


def test_the_first_masklet_is_lost_and_corrected(folder: Path) -> None:
    assert "mean IoU of frames 23 to 39: 0.00 before, 0.92 after" in printed("first-masklet", folder)


def test_the_calibrated_bundle_is_within_its_limits(folder: Path) -> None:
    text = printed("calibrate", folder)
    assert "within the limits: True" in text
    assert float(text.split("mask IoU of INT8 with FP32 on a new clip: mean ")[1].split(",")[0]) > 0.97


def test_the_profile_has_every_stage(folder: Path) -> None:
    text = printed("profile", folder)
    assert all(name in text for name in ("image_encoder", "memory_attention", "mask_decoder", "memory_encoder"))


def test_every_notebook_is_a_page_with_its_stored_outputs() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(names())
    pages = notebook_pages()
    assert all("```text" in str(pages[f"notebooks/{name}.md"]) for name in names())
