"""The documentation site: built as `make docs` builds it, strictly, so that a broken link or anchor fails here."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_pages import commands
from field_lists import moved_out, with_lists
from format_pages import FORMATS, structs
from name_pages import public_names
from repository_links import relink

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    line = [sys.executable, "-P", "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, env={"NO_MKDOCS_2_WARNING": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def text_of(page: Path) -> str:
    return re.sub(r"<[^>]+>", "", page.read_text())


def test_every_command_has_a_page_with_all_its_options(site: Path) -> None:
    for words, command in commands():
        shown = text_of(site / "reference" / "commands" / f"{'-'.join(words)}.html")
        options = [name for p in command.params if not p.hidden for name in (*p.opts, *p.secondary_opts)]
        assert [name for name in options if name.startswith("-") and name not in shown] == []


def test_every_public_name_has_a_page_with_its_public_members(site: Path) -> None:
    for name, value in public_names():
        shown = text_of(site / "reference" / "python" / f"{name}.html")
        members = [m for m in vars(value) if not m.startswith("_")] if isinstance(value, type) else []
        assert [member for member in members if member not in shown] == []
        assert len(shown.split(f"from masklet.runtime import {name}")[1].split()) > 20, f"{name} has no text"


def test_every_json_file_has_a_page_with_all_its_fields(site: Path) -> None:
    for one in FORMATS:
        shown = text_of(site / "reference" / "formats" / f"{one.name.replace('.', '-')}.html")
        for kind in structs(one.content):
            assert [name for name in kind.__struct_encode_fields__ if name not in shown] == []


def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    loaded = re.compile(r"""<(?:script|img|link)[^>]+(?:src|href)="((?:https?:)?//[^"]+)""")
    assert {url for page in site.rglob("*.html") for url in loaded.findall(page.read_text())} == set()


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("../../profiles/benchmarks/nano.md#a", "../figures/nano.md#a"),
        ("../notebooks/profile.ipynb", "../notebooks/profile.md"),
        ("../../runtime/", "https://host/tree/main/runtime"),
        ("../../runtime/errors.py", "https://host/blob/main/runtime/errors.py"),
        ("other.md", "other.md"),
        ("https://elsewhere.org/x", "https://elsewhere.org/x"),
    ],
)
def test_links_that_leave_the_folder_lead_to_a_page_or_to_the_repository(link: str, leads: str) -> None:
    assert relink(f"[x]({link})", "how-to/a.md", ROOT / "docs" / "how-to", ROOT, "https://host") == f"[x]({leads})"


def test_a_link_to_a_file_that_is_not_there_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING"):
        relink("[x](../../runtime/missing.py)", "how-to/a.md", ROOT / "docs" / "how-to", ROOT, "https://host")
    assert "missing.py" in caplog.text


def test_listed_fields_become_a_list() -> None:
    text = "What it is.\na: the first,\n   continued\nb, c: others\nNot a field: prose.\n"
    assert with_lists(text, {"a", "b", "c"}) == (
        "What it is.\n\n- `a`: the first,\n  continued\n- `b, c`: others\n\nNot a field: prose."
    )


def test_texts_of_attributes_move_to_them() -> None:
    text = "What it is.\n\na: the first,\n   continued\nb, c: others\nRaises X."
    assert moved_out(text, {"a", "b", "c"}) == ("What it is.\n\nb, c: others\nRaises X.", {"a": "the first, continued"})
