"""Bundles: written whole or not at all, and refused when anything about them is not as the manifest says."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import MANIFEST, SEAL, Checkpoint, Manifest, Parity, sha256
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.bundle.writer import BundleWriter, write_bundle
from masklet.runtime.errors import BundleError
from toy_models import TOY

CHECKPOINT = Checkpoint("toy", "0" * 64)


def write(destination: Path, *, replace: bool = False, content: bytes = b"graph") -> Path:
    with write_bundle(destination, replace=replace) as writer:
        fill(writer, content)
    return destination


def fill(writer: BundleWriter, content: bytes = b"graph") -> None:
    (writer.root / "image_encoder.onnx").write_bytes(content)
    (writer.root / "image_encoder.weights").write_bytes(b"weights")
    writer.add("image_encoder", "onnx", Precision.FP32, ["image_encoder.onnx", "image_encoder.weights"])
    (writer.root / "mask_decoder.onnx").write_bytes(content)
    writer.add("mask_decoder", "onnx", Precision.FP32, ["mask_decoder.onnx"])
    writer.seal(TOY, CHECKPOINT, [Parity("image_encoder", "onnx", "feat", 1e-7, 1e-6)], {"masklet": "0"})


def reseal(root: Path, change: dict[str, object]) -> None:
    """Alter the manifest and make its seal agree, as one who forges a bundle would."""
    manifest = {**json.loads((root / MANIFEST).read_text()), **change}
    (root / MANIFEST).write_text(json.dumps(manifest))
    (root / SEAL).write_text(sha256(root / MANIFEST))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    bundle = Bundle.load(write(tmp_path / "b"))
    assert bundle.model == TOY
    assert bundle.path(bundle.artifact("image_encoder", ("onnx-ort", "onnx"))).read_bytes() == b"graph"
    assert os.listdir(tmp_path) == ["b"]


def test_assets_are_files_of_the_bundle_like_any_other(tmp_path: Path) -> None:
    with write_bundle(tmp_path / "b") as writer:
        (writer.root / "image_encoder.onnx").write_bytes(b"graph")
        (writer.root / "words.json").write_bytes(b"[]")
        for stage in TOY.stages:
            writer.add(stage.name, "onnx", Precision.FP32, ["image_encoder.onnx"])
        writer.add_asset("words.json")
        writer.seal(TOY, CHECKPOINT)
    bundle = Bundle.load(tmp_path / "b")
    assert bundle.asset("words.json").read_bytes() == b"[]"
    assert [file.path for file in bundle.manifest.files()] == ["image_encoder.onnx", "words.json"]
    with pytest.raises(BundleError, match=r"has no asset 'letters\.json', it has words\.json"):
        bundle.asset("letters.json")
    (bundle.root / "words.json").write_bytes(b"{}")
    with pytest.raises(BundleError, match=r"words\.json was altered"):
        Bundle.load(tmp_path / "b")
    outside = [{"path": "../words.json", "sha256": "0" * 64, "bytes": 2}]
    reseal(tmp_path / "b", {"assets": outside})
    with pytest.raises(BundleError, match="leaves the bundle"):
        Bundle.load(tmp_path / "b")


def test_the_same_content_gives_the_same_manifest(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    assert (first / MANIFEST).read_bytes() == (second / MANIFEST).read_bytes()


@pytest.mark.parametrize("end", [RuntimeError("bad stage"), KeyboardInterrupt()])
def test_an_export_that_ends_early_leaves_nothing(tmp_path: Path, end: BaseException) -> None:
    def fail() -> None:
        with write_bundle(tmp_path / "b") as writer:
            (writer.root / "half.onnx").write_bytes(b"half")
            raise end

    with pytest.raises(type(end)):
        fail()
    assert os.listdir(tmp_path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from masklet.runtime.bundle.writer import (write_bundle)
with write_bundle(Path(sys.argv[1])) as writer:
    (writer.root / "half.onnx").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_export_left_goes_with_the_next_and_what_is_being_written_stays(tmp_path: Path) -> None:
    (tmp_path / ".bb.of-another-bundle.tmp").mkdir()
    assert subprocess.run([sys.executable, "-c", KILLED, tmp_path / "b"], check=False).returncode == -signal.SIGKILL
    (left,) = tmp_path.glob(".b.*.tmp")
    with write_bundle(tmp_path / "b") as living:
        assert not left.exists()
        write(tmp_path / "b")
        fill(living)
    assert sorted(os.listdir(tmp_path)) == [".bb.of-another-bundle.tmp", "b"]


def test_an_unsealed_bundle_is_thrown_away(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no manifest\.json"), write_bundle(tmp_path / "b"):
        pass
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    def fill() -> None:
        with write_bundle(tmp_path / "b"):
            raise OSError(28, "No space left on device")

    with pytest.raises(BundleError, match="No space left on device"):
        fill()
    assert os.listdir(tmp_path) == []


def test_an_old_bundle_is_replaced_only_when_asked(tmp_path: Path) -> None:
    root = write(tmp_path / "b")
    with pytest.raises(BundleError, match="--force"):
        write(root)
    write(root, replace=True, content=b"newer")
    assert (root / "image_encoder.onnx").read_bytes() == b"newer"
    assert os.listdir(tmp_path) == ["b"]


def test_what_is_no_bundle_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(BundleError, match="not a bundle"):
        write(tmp_path / "thesis", replace=True)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_a_missing_parent_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nowhere"):
        write(tmp_path / "nowhere" / "b")


def test_an_altered_graph_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "b")
    (root / "image_encoder.onnx").write_bytes(b"GRAPH")
    with pytest.raises(BundleError, match=r"image_encoder\.onnx was altered"):
        Bundle.load(root)
    Bundle.load(root, check_hashes=False)


def test_a_truncated_file_is_refused_even_without_hashes(tmp_path: Path) -> None:
    root = write(tmp_path / "b")
    (root / "image_encoder.weights").write_bytes(b"weig")
    with pytest.raises(BundleError, match="has 4 bytes, wanted 7"):
        Bundle.load(root, check_hashes=False)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    root = write(tmp_path / "b")
    (root / "image_encoder.weights").unlink()
    with pytest.raises(BundleError, match=r"image_encoder\.weights is missing"):
        Bundle.load(root)


def test_an_altered_manifest_is_refused_even_without_hashes(tmp_path: Path) -> None:
    root = write(tmp_path / "b")
    (root / MANIFEST).write_text((root / MANIFEST).read_text().replace('"toy"', '"joy"'))
    with pytest.raises(BundleError, match="does not match"):
        Bundle.load(root, check_hashes=False)


def test_an_unknown_schema_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "b")
    reseal(root, {"schema": 99})
    with pytest.raises(BundleError, match="schema version 99; this masklet reads version 1"):
        Bundle.load(root)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../secret", "..\\secret", ""])
def test_paths_that_leave_the_bundle_are_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    root = write(tmp_path / "b")
    file = {"path": path, "sha256": sha256(tmp_path / "secret"), "bytes": 6}
    reseal(
        root,
        {"artifacts": [{"stage": "image_encoder", "format": "onnx", "precision": "fp32", "files": [file]}]},
    )
    with pytest.raises(BundleError, match="leaves the bundle"):
        Bundle.load(root)


def test_a_link_out_of_the_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"graph")
    root = write(tmp_path / "b")
    (root / "image_encoder.onnx").unlink()
    (root / "image_encoder.onnx").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="link out of the bundle"):
        Bundle.load(root)


def test_a_stage_without_an_artifact_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "b")
    reseal(root, {"artifacts": []})
    with pytest.raises(BundleError, match="'image_encoder' has no artifact"):
        Bundle.load(root)


def test_a_folder_that_is_no_bundle_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such bundle; make one with `masklet export"):
        Bundle.load(tmp_path / "missing")
    with pytest.raises(BundleError, match="not a bundle"):
        Bundle.load(tmp_path)


def test_an_artifact_in_no_wanted_format_names_what_is_there(tmp_path: Path) -> None:
    bundle = Bundle.load(write(tmp_path / "b"))
    with pytest.raises(BundleError, match="is there as onnx, wanted tensorrt"):
        bundle.artifact("image_encoder", ("tensorrt",))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(field=st.sampled_from(list(Manifest.__struct_fields__)), value=JSON)
def test_any_broken_manifest_is_a_bundle_error(
    tmp_path_factory: pytest.TempPathFactory, field: str, value: object
) -> None:
    root = write(tmp_path_factory.mktemp("broken") / "b")
    reseal(root, {field: value})
    message = ""
    try:
        Bundle.load(root)
    except BundleError as error:
        message = str(error)
    assert "\n" not in message


def test_a_manifest_survives_a_round_trip(tmp_path: Path) -> None:
    manifest = Bundle.load(write(tmp_path / "b")).manifest
    assert msgspec.json.decode(msgspec.json.encode(manifest), type=Manifest) == manifest


def test_a_precision_that_there_is_not_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "b")
    artifact, *others = json.loads((root / MANIFEST).read_text())["artifacts"]
    reseal(root, {"artifacts": [{**artifact, "precision": "int5"}, *others]})
    with pytest.raises(BundleError, match="Invalid enum value 'int5'"):
        Bundle.load(root)
