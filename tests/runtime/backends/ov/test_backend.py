"""OpenVINO by the command line: what it says when something is missing, its cache on disk, and whole loops."""

import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from command_line import Cli
from evaluate import CHECKPOINT
from masklet.export.pipeline import export_bundle
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.ov.backend import OpenVino
from masklet.runtime.backends.ov.library import computes_in, reason
from masklet.runtime.backends.ov.model_cache import _prune
from masklet.runtime.backends.session import Backend
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import SessionError
from masklet.runtime.prompts.prompts import Points
from masklet.runtime.results import Frame
from masklet.runtime.tracking.known_policies import policy_names
from masklet.runtime.tracking.video_tracker import VideoTracker
from noise_clip import write_noise
from onnx import helper
from scenes import render
from two_discs import iou

BF16 = "bf16" in computes_in(openvino.Core(), "CPU")


def masks_of(
    bundle: Bundle, backend: Backend, frames: int = 24, memory: str | None = None
) -> list[np.ndarray[Any, Any]]:
    """The masks of a held-out scene, where a second object joins and the first leaves."""
    clip = render("cluttered", 2**31, 128, frames, 2)
    first, second = (np.argwhere(clip.labels[0] == label).mean(axis=0) for label in clip.ids)
    found = []
    with Sessions.open(bundle, backend) as sessions:
        tracker = VideoTracker(sessions, memory=memory)
        for index, picture in enumerate(clip.frames):
            given = {0: {1: Points.click(first[1], first[0])}, 5: {2: Points.click(second[1], second[0])}}.get(index)
            found += list(tracker.step(Frame(index, index / 10, picture), given).masks)
            if index == frames // 2:
                tracker.remove(1)
    return found


def test_a_loop_is_onnx_runtime_s(trained_bundle: Path) -> None:
    bundle = Bundle.load(trained_bundle)
    wanted, got = masks_of(bundle, OnnxRuntime(1)), masks_of(bundle, OpenVino(1))
    assert len(wanted) == len(got) > 24
    assert np.mean([iou(a, b) for a, b in zip(wanted, got, strict=True)]) >= 0.9999


def test_every_memory_policy_is_onnx_runtime_s(tmp_path: Path) -> None:
    export_bundle(str(CHECKPOINT), tmp_path / "bundle", candidate_pointers=True)
    bundle = Bundle.load(tmp_path / "bundle")
    for memory in policy_names():
        wanted, got = (masks_of(bundle, backend, memory=memory) for backend in (OnnxRuntime(1), OpenVino(1)))
        assert len(wanted) == len(got) > 24
        assert np.mean([iou(a, b) for a, b in zip(wanted, got, strict=True)]) >= 0.9999, memory


@pytest.mark.skipif(not BF16, reason="this CPU does not compute in bf16")
def test_a_loop_in_bf16(trained_bundle: Path) -> None:
    bundle = Bundle.load(trained_bundle)
    wanted, got = masks_of(bundle, OnnxRuntime(1)), masks_of(bundle, OpenVino(1, hint="bf16"))
    assert np.mean([iou(a, b) for a, b in zip(wanted, got, strict=True)]) >= 0.98
    assert any((a != b).any() for a, b in zip(wanted, got, strict=True)), "nothing was computed in bf16"


def test_run_by_the_command_line(nano_bundle: Path, tmp_path: Path, cli: Cli) -> None:
    clip = write_noise(tmp_path, 4)
    words = ["run", nano_bundle, clip, "--point", "40,30", "--threads", "1", "--masks"]
    code, _, err = cli(*words, tmp_path / "a.jsonl", "--backend", "openvino")
    assert code == 0, err
    assert f"all 5 stages: OpenVINO {openvino.__version__.split('-')[0]} on CPU, fp32" in err
    assert cli(*words, tmp_path / "b.jsonl")[0] == 0
    assert (tmp_path / "a.jsonl").read_text().count("\n") == 4


@pytest.mark.skipif(not BF16, reason="this CPU does not compute in bf16")
def test_a_hint_without_proof_is_said(nano_bundle: Path, tmp_path: Path, cli: Cli) -> None:
    clip = write_noise(tmp_path, 2)
    words = ["run", nano_bundle, clip, "--point", "40,30", "--backend", "openvino", "--precision-hint", "bf16"]
    code, _, err = cli(*words, "--masks", tmp_path / "a.jsonl", "--threads", "1")
    assert code == 0, err
    assert "bf16 (not proved for this bundle; masklet calibrate --precision bf16)" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--openvino-device", "GPU.7"], "--openvino-device GPU.7: OpenVINO finds no such device here, only CPU"),
        (["--openvino-device", "TPU"], "--openvino-device TPU: wanted one of CPU, GPU, NPU, AUTO"),
        (["--precision-hint", "f64"], "f64"),
        (["--provider", "cuda"], "--provider is for --backend onnxruntime, not for openvino"),
    ],
)
def test_what_is_asked_wrongly_is_one_line(
    nano_bundle: Path, tmp_path: Path, cli: Cli, words: list[str], says: str
) -> None:
    clip = write_noise(tmp_path, 1)
    code, _, err = cli("run", nano_bundle, clip, "--point", "40,30", "--backend", "openvino", *words)
    assert code == 2
    assert says in err
    assert "Traceback" not in err


def test_openvino_that_is_not_installed(
    nano_bundle: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    clip = write_noise(tmp_path, 1)
    code, _, err = cli("run", nano_bundle, clip, "--point", "40,30", "--backend", "openvino")
    assert (code, err.strip()) == (2, "masklet: error: OpenVINO is not installed; pip install 'masklet[openvino]'")


def test_an_operator_that_openvino_lacks(nano_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(nano_bundle)
    stage = bundle.model.stage("mask_prompt_encoder")
    model = onnx.load(bundle.path(bundle.artifact(stage.name, ("onnx",))))
    model.graph.node.append(helper.make_node("Frobnicate", ["mask"], ["unknown"], "odd", domain="acme"))
    model.opset_import.add(domain="acme", version=1)
    model.graph.output.append(helper.make_empty_tensor_value_info("unknown"))
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(SessionError) as error:
        OpenVino(1).open_graph(tmp_path / "odd.onnx", stage)
    said = str(error.value)
    assert "stage 'mask_prompt_encoder'" in said
    assert "acme.Frobnicate" in said
    assert "the node that makes 'unknown'" in said
    assert "\n" not in said


def test_a_graph_with_other_tensors(nano_bundle: Path) -> None:
    bundle = Bundle.load(nano_bundle)
    path = bundle.path(bundle.artifact("mask_prompt_encoder", ("onnx",)))
    with pytest.raises(SessionError, match="'mask_decoder': its graph has tensors"):
        OpenVino(1).open_graph(path, bundle.model.stage("mask_decoder"))


def test_what_openvino_says_is_one_line() -> None:
    said = "Exception from src/a.cpp:1:\nCheck 'x' failed at src/b.cpp:2:\nWrong value f17 for property key HINT.\n\n"
    assert reason(RuntimeError(said)) == "Wrong value f17 for property key HINT."
    assert reason(RuntimeError("Exception from a.cpp:1:\nstd::bad_alloc")) == "out of memory"
    assert reason(MemoryError()) == "MemoryError"


def test_a_device_that_computes_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    core = SimpleNamespace(
        available_devices=["CPU"],
        get_property=lambda device, name: {"OPTIMIZATION_CAPABILITIES": ["FP32", "INT8"]}.get(name, "an old CPU"),
    )
    monkeypatch.setattr(openvino, "Core", lambda: core)
    with pytest.raises(SessionError, match=r"--precision-hint bf16: an old CPU computes in f32; choose one of these"):
        OpenVino(1, hint="bf16")


def test_compiled_models_are_kept_on_disk(nano_bundle: Path, user_cache: Path) -> None:
    """By graph, release, device and hint. A damaged one is made anew, and a folder that cannot be used does without."""
    bundle = Bundle.load(nano_bundle)
    stage = bundle.model.stage("image_encoder")
    feeds = {"image": np.random.default_rng(0).integers(0, 256, stage.inputs[0].sized({}), np.uint8)}
    wanted = OpenVino(1).open(bundle, stage).run(feeds)["vision_feat"]
    (folder,) = (user_cache / "openvino").iterdir()
    assert f"-{openvino.__version__.split('-')[0]}-CPU-f32" in folder.name
    (blob,) = folder.glob("*.blob")
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[: blob.stat().st_size // 2])
    np.testing.assert_array_equal(OpenVino(1).open(bundle, stage).run(feeds)["vision_feat"], wanted)
    shutil.rmtree(user_cache)
    user_cache.write_text("a file")
    np.testing.assert_array_equal(OpenVino(1).open(bundle, stage).run(feeds)["vision_feat"], wanted)


def test_the_cache_on_disk_is_bounded(tmp_path: Path) -> None:
    for age, name in enumerate(("new", "old", "oldest")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.blob").write_bytes(b"\0" * 1000)
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    _prune(tmp_path, tmp_path / "new", most_bytes=2500)
    assert {f.name for f in tmp_path.iterdir()} == {"new", "old"}
