"""A bundle is amended whole or not at all, by whoever of several works on it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from masklet.runtime.bundle.add_engines import amend_bundle
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.describe import bundle_bytes, graph_bytes
from masklet.runtime.bundle.manifest import MANIFEST, Artifact, Checkpoint
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.bundle.writer import write_bundle
from masklet.runtime.errors import BundleError
from toy_models import TOY

ENGINE = Artifact("image_encoder", "tensorrt", Precision.FP32, (), {"gpu": "any"})


def write(destination: Path, *, replace: bool = False) -> Bundle:
    with write_bundle(destination, replace=replace) as writer:
        (writer.root / "image_encoder.onnx").write_bytes(b"graph")
        for stage in TOY.stages:
            writer.add(stage.name, "onnx", Precision.FP32, ["image_encoder.onnx"])
        writer.seal(TOY, Checkpoint("toy", "0" * 64))
    return Bundle.load(destination)


def amend(bundle: Bundle) -> None:
    with amend_bundle(bundle) as amendment:
        amendment.put(ENGINE, {"engines/image_encoder.engine": b"plan"})


def test_engines_add_to_a_bundle_and_not_to_its_graphs(tmp_path: Path) -> None:
    bundle = write(tmp_path / "b")
    assert graph_bytes(bundle) == bundle_bytes(bundle) == len(b"graph")
    amend(bundle)
    amended = Bundle.load(bundle.root)
    assert (graph_bytes(amended), bundle_bytes(amended)) == (len(b"graph"), len(b"graph") + len(b"plan"))


KILLED = """
import os, signal, sys
from masklet.runtime.bundle.add_engines import amend_bundle
from masklet.runtime.bundle.bundle import Bundle
with amend_bundle(Bundle.load(sys.argv[1])) as amendment:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_build_left_goes_with_the_next(tmp_path: Path) -> None:
    bundle = write(tmp_path / "b")
    assert subprocess.run([sys.executable, "-c", KILLED, bundle.root], check=False).returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob(".b.*.tmp"))) == 1
    (tmp_path / ".b.replaced.old").mkdir()
    amend(bundle)
    assert os.listdir(tmp_path) == ["b"]
    assert [a.format for a in Bundle.load(bundle.root).manifest.artifacts] == ["onnx", "onnx", "tensorrt"]


def test_a_build_that_runs_is_left_alone_by_an_export(tmp_path: Path) -> None:
    bundle = write(tmp_path / "b")
    with amend_bundle(bundle) as amendment:
        amendment.put(ENGINE, {"engines/image_encoder.engine": b"plan"})
        write(tmp_path / "b", replace=True)
    assert [a.format for a in Bundle.load(bundle.root).manifest.artifacts] == ["onnx", "onnx", "tensorrt"]
    assert os.listdir(tmp_path) == ["b"]


@pytest.mark.parametrize("change", ["amended", "replaced"])
def test_a_bundle_that_cannot_be_moved_into_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    bundle = write(tmp_path / "b")
    before, rename = (bundle.root / MANIFEST).read_bytes(), os.rename

    def refused(source: Path, target: Path) -> None:
        if source.suffix == ".tmp":
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refused)
    with pytest.raises(BundleError, match="Input/output error"):
        amend(bundle) if change == "amended" else write(bundle.root, replace=True)
    assert (bundle.root / MANIFEST).read_bytes() == before
    assert os.listdir(tmp_path) == ["b"]
