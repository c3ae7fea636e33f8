"""The tutorial: every snippet runs in order, and the object is lost and found again as the page says."""

import json
from pathlib import Path

import pytest
from snippets import run_snippet, snippets

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "tutorial" / "index.md"


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder in which all snippets ran, and what each printed."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "out").mkdir()
    (folder / "demos").symlink_to(ROOT / "demos")
    return folder, [run_snippet(language, code, folder) for language, code in snippets(PAGE)]


def visible(path: Path) -> list[int]:
    """The frames on which the object has a mask."""
    frames = [json.loads(line) for line in path.read_text().splitlines()]
    return [frame["frame"] for frame in frames if any(found["bbox"][2] for found in frame["objects"])]


def test_the_click_on_frame_23_brings_the_object_back(printed: tuple[Path, list[str]]) -> None:
    folder, _ = printed
    assert max(visible(folder / "out" / "masks.jsonl")) < 23
    assert set(visible(folder / "out" / "corrected.jsonl")) >= set(range(23, 40))


def test_python_prints_what_the_command_wrote(printed: tuple[Path, list[str]]) -> None:
    _, texts = printed
    languages = [language for language, _ in snippets(PAGE)]
    from_file, from_tracker = (text for language, text in zip(languages, texts, strict=True) if language == "python")
    assert len(from_file.splitlines()) == len(from_tracker.splitlines()) == 40
    assert from_tracker.splitlines()[0].endswith("(1, 256, 256)")


def test_the_reports_are_there(printed: tuple[Path, list[str]]) -> None:
    folder, texts = printed
    for name in ("frame.png", "tracked.mp4", "profile.html", "profile.json", "int8.bundle", "int8.report.html"):
        assert (folder / "out" / name).exists()
    assert "int8" in texts[-1]
