"""The project's own promises: what the wheel holds, what an import costs, what the documentation links to."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).parent.parent


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_every_package_folder_is_in_the_wheel() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = ("export", "runtime", "calibration", "profiles")
    there = {p.parent.relative_to(ROOT) for folder in folders for p in (ROOT / folder).rglob("__init__.py")}
    assert {"masklet." + ".".join(path.parts) for path in there} == set(listed)


def test_the_type_checkers_links_point_at_the_folders() -> None:
    for folder in ("export", "runtime", "calibration", "profiles"):
        assert (ROOT / ".types" / "masklet" / folder).resolve() == ROOT / folder


@pytest.mark.parametrize(
    "module", ["masklet.runtime.tracking.video_tracker", "masklet.runtime.streams.follow", "masklet.runtime.cli.main"]
)
def test_the_runtime_never_imports_torch(module: str) -> None:
    code = f"import {module}, sys; print(sorted({{'torch', 'transformers'}} & set(sys.modules)))"
    assert run_python(code) == "[]"


def test_help_loads_no_heavy_module() -> None:
    heavy = "{'torch', 'cv2', 'onnxruntime', 'av'}"
    code = f"import sys; from masklet.runtime.cli.main import app; app(); print(sorted({heavy} & set(sys.modules)))"
    assert run_python(code) == "[]"


def test_the_public_names_are_all_there() -> None:
    code = "import masklet.runtime as r; [getattr(r, n) for n in r.__all__]; print(len(r.__all__))"
    assert int(run_python(code)) > 10


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_to_files_lead_somewhere(page: str) -> None:  # those of docs/ are checked by tests/docs/test_site.py
    text = (ROOT / page).read_text()
    targets = [t for t in re.findall(r"\]\(([^)#]+)", text) if not t.startswith("http")]
    assert [t for t in targets if not (ROOT / page).parent.joinpath(t).exists()] == []


def test_no_committed_file_names_this_machine() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    here = str(ROOT)
    texts = [f for f in files if Path(f).suffix in {".py", ".md", ".toml", ".txt", ".json", ".yaml", ""}]
    assert [f for f in texts if (ROOT / f).is_file() and here in (ROOT / f).read_text(errors="ignore")] == []
