"""The pages that are written by hand say what the program does."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from masklet.runtime.cli import main
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sinks.kind import Opening
from masklet.runtime.streams import supervise
from masklet.runtime.streams.metrics import Metrics
from rooms import layers
from snippets import snippets

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"


def first_column(page: Path) -> set[str]:
    """The words in backticks of the first cell of each row of the page's tables."""
    cells = [line.split("|")[1] for line in page.read_text().splitlines() if line.startswith("| ")]
    return {word for cell in cells for word in cell.replace("`", "").replace(",", " ").split()}


def test_every_exit_code_is_on_its_page() -> None:
    codes = {0, main.BAD_INPUT, main.INTERNAL, main.INTERRUPTED, supervise.SOME_FAILED}
    assert {int(word) for word in first_column(DOCS / "reference" / "exit-codes.md") if word.isdecimal()} == codes


def test_every_metric_is_on_its_page() -> None:
    pytest.importorskip("prometheus_client")
    with Metrics("127.0.0.1", 0) as metrics:
        names = {family.name + ("_total" if family.type == "counter" else "") for family in metrics.collect()}
    shown = first_column(DOCS / "reference" / "metrics.md")
    assert names | {"masklet_latency_seconds", "masklet_budget_step"} == {
        name for name in shown if name.startswith("masklet_")
    }


def test_the_sink_of_the_how_to_works(tmp_path: Path) -> None:
    _, code = next(snippets(DOCS / "how-to" / "add-a-sink-or-source.md"))
    (tmp_path / "areas.py").write_text(code)
    spec = importlib.util.spec_from_file_location("areas", tmp_path / "areas.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sink = module.SINK.open(tmp_path / "areas.csv", Opening(30.0))
    mask = np.zeros((1, 4, 4), bool)
    mask[0, :2] = True
    frame = Frame(7, 0.0, np.zeros((4, 4, 3), np.uint8))
    box = np.array([[0, 0, 4, 2]], np.float32)
    sink.write(frame, FrameResult(7, 0.0, np.array([3]), mask, box, np.ones(1, np.float32)))
    sink.close()
    assert list(csv.reader((tmp_path / "areas.csv").open())) == [["7", "3", "8"]]


def test_the_picture_of_rooms_has_every_package() -> None:
    floors = layers(ROOT)
    assert set(floors) == {"runtime", "export", "calibration", "profiles"}
    assert ["tracking"] in floors["runtime"]
