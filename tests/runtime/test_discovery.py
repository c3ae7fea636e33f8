"""A new backend, sink or source is one file: a toy one of each is added from outside the package and used by `run`."""

import subprocess
import sys
from pathlib import Path

import pytest
from masklet.runtime.backends import engines
from masklet.runtime.backends.known import backend_kind, backend_kinds
from masklet.runtime.errors import SessionError, SinkError, SourceError
from masklet.runtime.sinks import kinds as sinks
from masklet.runtime.sinks.known import sink_kinds
from masklet.runtime.sinks.outputs import Outputs
from masklet.runtime.sources import kinds as sources
from masklet.runtime.sources.opening import open_source
from masklet.runtime.sources.source import FeedOptions
from masklet.runtime.startup.backend_choice import BackendChoice

BACKEND = """
from pathlib import Path
from masklet.runtime.backends.kind import BackendKind
from masklet.runtime.option import Option

def create(threads, settings):
    from masklet.runtime.backends.ort.backend import OnnxRuntime
    Path(settings["toy_note"]).write_text(f"{threads} threads")
    return OnnxRuntime(threads)

BACKEND = BackendKind("toy", "a toy", create, options=(Option("toy_note", "Where it says that it ran."),))
"""
SINK = """
from pathlib import Path
from masklet.runtime.option import Option
from masklet.runtime.sinks.kind import OnResume, SinkKind

class Counter:
    def __init__(self, path):
        self.path, self.frames = path, 0
    def write(self, frame, result):
        self.frames += 1
    def close(self):
        self.path.write_text(str(self.frames))

SINK = SinkKind(Option("count", "Counts frames.", Path), lambda target, opening: Counter(target), OnResume.SAME)
"""
SOURCE = """
import numpy as np
from masklet.runtime.option import Option
from masklet.runtime.results import Frame
from masklet.runtime.sources.kind import SourceKind
from masklet.runtime.sources.source import Source

class Grey(Source):
    def __init__(self, spec, cut, options):
        super().__init__(spec, cut, (64, 64), 10.0, 4)
        self.level = options.settings.get("toy_level", 0)
    def __iter__(self):
        for index in self.cut.indices(4):
            yield Frame(index, index / 10, np.full((64, 64, 3), self.level, np.uint8))

LEVEL = Option("toy_level", "How grey.", int)
SOURCE = SourceKind("toy:NAME", lambda spec: spec.startswith("toy:"), Grey, options=(LEVEL,))
"""
RUN = """
import sys
from masklet.runtime.backends import engines
from masklet.runtime.sinks import kinds as sinks
from masklet.runtime.sources import kinds as sources
for folder, name in ((engines, "backends"), (sinks, "sinks"), (sources, "sources")):
    folder.__path__.append(f"{sys.argv[1]}/{name}")
from masklet.runtime.cli.main import main
sys.argv = ["masklet", *sys.argv[2:]]
main()
"""


@pytest.fixture
def toys(tmp_path: Path) -> Path:
    """A folder with a toy of each kind, and a file beside each that is none."""
    for name, text in (("backends", BACKEND), ("sinks", SINK), ("sources", SOURCE)):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"toy_{name}.py").write_text(text)
        (tmp_path / name / f"no_{name}.py").write_text("NOTHING = 1\n")
    return tmp_path


def test_toys_are_offered_and_run(toys: Path, nano_bundle: Path) -> None:
    words = ["run", nano_bundle, "toy:one", "--point", "30,30", "--toy-level", "90", "--count", toys / "count.txt"]
    words += ["--backend", "toy", "--toy-note", toys / "note.txt", "--threads", "1"]
    line = [sys.executable, "-c", RUN, str(toys)]
    ran = subprocess.run([*line, *map(str, words)], capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    assert (toys / "count.txt").read_text() == "4"
    assert (toys / "note.txt").read_text() == "1 threads"
    shown = subprocess.run([*line, "run", "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert all(flag in shown for flag in ("--count", "--toy-note", "--toy-level", "toy"))


def test_files_without_a_declaration_are_none(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(backend_kinds()), {kind.name for kind in sink_kinds()}
    monkeypatch.setattr(engines, "__path__", [*engines.__path__, str(toys / "backends")])
    monkeypatch.setattr(sinks, "__path__", [*sinks.__path__, str(toys / "sinks")])
    assert set(backend_kinds()) - before[0] == {"toy"}
    assert {kind.name for kind in sink_kinds()} - before[1] == {"count"}


def test_options_belong_to_their_backend_and_source(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(toys / "sources")])
    with pytest.raises(SessionError, match=r"--backend nothing: unknown backend; choose one of .*onnxruntime"):
        backend_kind("nothing")
    with pytest.raises(SessionError, match="--provider is for --backend onnxruntime, not for tensorrt"):
        BackendChoice("tensorrt", settings={"provider": "cuda"})
    with pytest.raises(SourceError, match="--toy-level is for toy:NAME"):
        open_source(str(toys), feed=FeedOptions(settings={"toy_level": 3}))
    assert open_source("toy:x", feed=FeedOptions(settings={"toy_level": 3})).frames == 4


def test_what_was_opened_is_closed_where_a_later_output_fails(tmp_path: Path) -> None:
    masks = tmp_path / "masks.jsonl"
    with pytest.raises(SinkError, match="the folder cannot be created"):
        Outputs({"masks": masks, "pngs": masks}).open(10.0)
