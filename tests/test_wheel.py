"""The wheel as a user installs it: its types reach a type checker, and a shell completes its commands."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = """
from masklet.runtime import Bundle, Points, VideoTracker, open_source

tracker = VideoTracker(Bundle.load("sam2.1-tiny.bundle"))
for frame in open_source("clip.mp4"):
    result = tracker.step(frame, {1: Points.click(480, 270)} if frame.index == 0 else {})
    reveal_type(result.scores)
    print(result.masks.shape, result.boxes_xyxy)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python of its own with the wheel; what the wheel depends on is found where this one has it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in files:
        if name.startswith(("runtime/", "export/", "calibration/", "profiles/")) or "/" not in name:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, source], capture_output=True
    )
    if done.returncode:
        pytest.skip(f"no wheel can be built here: {done.stderr.decode().strip().splitlines()[-1:]}")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "--python", python, "install", "--quiet", "--no-deps", wheel], check=True)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    others = [path for path in sys.path if path.endswith("site-packages")]
    (site / "others.pth").write_text("\n".join(others))
    return python


def checked(python: Path, script: str, folder: Path) -> str:
    (folder / "script.py").write_text(script)
    words = ["--strict", "--python-executable", str(python), "--cache-dir", str(folder / "cache"), "script.py"]
    env = {name: value for name, value in os.environ.items() if name != "MYPYPATH"}
    return subprocess.run(
        [sys.executable, "-m", "mypy", *words], cwd=folder, capture_output=True, text=True, env=env
    ).stdout


def test_a_users_script_is_type_checked(python: Path, tmp_path: Path) -> None:
    said = checked(python, SCRIPT, tmp_path)
    assert 'Revealed type is "numpy.ndarray[' in said, said
    assert "error" not in said, said
    wrong = SCRIPT.replace("Points.click(480, 270)", "Points.click('middle')").replace("open_source", "open_sauce", 1)
    said = checked(python, wrong, tmp_path)
    assert 'has no attribute "open_sauce"' in said, said
    assert 'incompatible type "str"' in said, said


def test_the_wheel_says_its_version(python: Path) -> None:
    code = "import masklet.runtime as m; print(m.__version__, m.__file__)"
    version, file = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert str(python.parent.parent) in file
    masklet = python.with_name("masklet")
    said = subprocess.run([masklet, "--version"], capture_output=True, text=True, check=True).stdout
    assert said == f"masklet {version}\n"


def test_the_wheel_holds_every_module_and_has_the_name_that_the_readme_gives(python: Path) -> None:
    folder = python.parents[2]
    (wheel,) = folder.glob("*.whl")
    assert f"out/{wheel.name}[cpu]" in (ROOT / "README.md").read_text()
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    missing = [
        path.relative_to(folder / "source")
        for package in ("runtime", "export", "calibration", "profiles")
        for path in (folder / "source" / package).rglob("*.py")
        if "benchmarks" not in path.parts and not (site / "masklet" / path.relative_to(folder / "source")).exists()
    ]
    assert missing == []


@pytest.mark.parametrize(("typed", "completed"), [("masklet ins", "inspect"), ("masklet run --every", "--every-frame")])
def test_a_shell_completes_commands_and_options(python: Path, typed: str, completed: str) -> None:
    """By the function that bash itself calls, from the script that the program prints for it."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    masklet, words = python.with_name("masklet"), typed.split()
    env = {**os.environ, "_MASKLET_COMPLETE": "source_bash"}
    script = subprocess.run([masklet], capture_output=True, text=True, env=env, check=True).stdout
    assert "complete -o default -F _masklet_completion masklet" in script
    asks = f"COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _masklet_completion {masklet}"
    code = f'{script}\n{asks}; echo "${{COMPREPLY[@]}}"'
    said = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout
    assert completed in said.split()
