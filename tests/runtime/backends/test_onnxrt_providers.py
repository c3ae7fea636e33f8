"""ONNX Runtime's providers: bound to device memory, never silent about a fall-back."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from command_line import Cli
from fake_cuda import FakeCuda
from masklet.runtime.backends.gpu.device_array import DeviceArray
from masklet.runtime.backends.gpu.device_memory import DeviceMemory
from masklet.runtime.backends.gpu.device_session import GpuInUse
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.ort.gpu import OnnxRuntimeGpuSession
from masklet.runtime.backends.ort.providers import NAMES, Placement, Provider, engine_cache, requested
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import StageSpec
from masklet.runtime.errors import SessionError
from masklet.runtime.startup.engine_check import GraphsOfEngines


def bound(bundle: Bundle, stage: StageSpec, gpu: GpuInUse) -> OnnxRuntimeGpuSession:
    """A session whose memory is the fake GPU's, which ONNX Runtime can reach as the CPU's."""
    graph = bundle.path(bundle.artifact(stage.name, ("onnx",)))
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return OnnxRuntimeGpuSession(stage, bundle.model, gpu, session, device="cpu")


def test_bound_memory_gives_what_plain_calls_give(nano_bundle: Path) -> None:
    bundle, cuda = Bundle.load(nano_bundle), FakeCuda()
    gpu = GpuInUse(DeviceMemory(cuda))
    encoder, memory_encoder = (bundle.model.stage(name) for name in ("image_encoder", "memory_encoder"))
    image = np.random.default_rng(0).integers(0, 256, encoder.inputs[0].sized({}), np.uint8)
    first, second = bound(bundle, encoder, gpu), bound(bundle, memory_encoder, gpu)
    features = first.run({"image": image})
    assert all(isinstance(value, DeviceArray) for value in features.values())
    feeds = {t.name: np.ones(t.sized({"objects": 2}), t.dtype) for t in memory_encoder.inputs}
    cuda.uploaded = 0
    got = second.run({**feeds, "vision_feat": features["vision_feat"]})["new_memory"]
    assert cuda.uploaded == sum(feed.nbytes for name, feed in feeds.items() if name != "vision_feat")

    plain = OnnxRuntime(threads=1)
    want = plain.open(bundle, encoder).run({"image": image})["vision_feat"]
    want = plain.open(bundle, memory_encoder).run({**feeds, "vision_feat": want})["new_memory"]
    np.testing.assert_allclose(np.asarray(got), want, atol=2e-2)  # new_memory is rounded to bfloat16
    first.close()
    second.close()
    assert cuda.closed


@pytest.fixture
def only_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime as it is without a GPU, and no TensorRT."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setitem(sys.modules, "tensorrt", None)


@pytest.mark.usefixtures("only_cpu")
def test_a_provider_that_is_not_there_is_said_and_refused_when_strict(nano_bundle: Path) -> None:
    bundle = Bundle.load(nano_bundle)
    stage = bundle.model.stage("mask_prompt_encoder")
    backend = OnnxRuntime(provider="cuda")
    backend.open(bundle, stage).close()
    assert "CPU, for this ONNX Runtime has no CUDAExecutionProvider" in backend.ran_on[stage.name]
    with pytest.raises(SessionError, match=r"has no CUDAExecutionProvider, only .*CPUExecutionProvider"):
        OnnxRuntime(provider="cuda", strict=True).open(bundle, stage)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[FakeCuda]:
    """ONNX Runtime says that it has every provider. The GPUs that were opened."""
    opened: list[FakeCuda] = []

    def open_one() -> FakeCuda:
        opened.append(FakeCuda())
        return opened[-1]

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(NAMES.values()))
    monkeypatch.setattr("masklet.runtime.backends.ort.backend.open_cuda", open_one)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return opened


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_provider_that_does_not_load_leaves_the_stage_to_the_cpu(
    nano_bundle: Path, monkeypatch: pytest.MonkeyPatch, provider: Provider
) -> None:
    """ONNX Runtime opens a session on the CPU then, as where cuDNN is another than CUDA's provider was built for."""
    opened = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *args, **_: opened(*args, providers=[NAMES["cpu"]]))
    bundle = Bundle.load(nano_bundle)
    stage = bundle.model.stage("memory_encoder")
    backend = OnnxRuntime(threads=1, provider=provider)
    feeds = {t.name: np.ones(t.sized({"objects": 1}), t.dtype) for t in stage.inputs}
    got = backend.open(bundle, stage).run(feeds)["new_memory"]
    np.testing.assert_array_equal(got, GraphsOfEngines(threads=1).open(bundle, stage).run(feeds)["new_memory"])
    assert "CPU" in backend.ran_on[stage.name]
    with pytest.raises(SessionError, match=f"requested {provider}, but .* on CPU; drop --strict"):
        OnnxRuntime(threads=1, provider=provider, strict=True).open(bundle, stage)


def test_what_onnx_runtime_does_not_bind_is_one_line(nano_bundle: Path) -> None:
    def refuse(*args: object) -> None:
        raise RuntimeError("There's no data transfer registered")

    bundle = Bundle.load(nano_bundle)
    stage = bundle.model.stage("memory_encoder")
    refusing: Any = SimpleNamespace(io_binding=lambda: SimpleNamespace(bind_input=refuse, bind_output=refuse))
    session = OnnxRuntimeGpuSession(stage, bundle.model, GpuInUse(DeviceMemory(FakeCuda())), refusing)
    with pytest.raises(SessionError, match="'memory_encoder': ONNX Runtime failed: There's no data transfer"):
        session.run({t.name: np.ones(t.sized({"objects": 1}), t.dtype) for t in stage.inputs})


def test_a_backend_opens_the_gpu_again_after_its_last_session(
    nano_bundle: Path, gpus: list[FakeCuda], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxRuntime, "_session", lambda *args: assigned(CUDA=["Conv"]))
    bundle, backend = Bundle.load(nano_bundle), OnnxRuntime(provider="cuda")
    for _ in range(2):
        backend.open(bundle, bundle.model.stage("memory_encoder")).close()
    assert [gpu.closed for gpu in gpus] == [True, True]


@pytest.mark.usefixtures("gpus")
def test_the_cache_of_engines_is_made_for_tensorrt_only(
    nano_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxRuntime, "_session", lambda *args: assigned(CUDA=["Conv"]))
    bundle = Bundle.load(nano_bundle)
    stage = bundle.model.stage("memory_encoder")
    OnnxRuntime(provider="cuda").open(bundle, stage)
    assert not (tmp_path / "cache").exists()
    OnnxRuntime(provider="tensorrt").open(bundle, stage)
    assert engine_cache().is_dir()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(SessionError, match="cannot be cached there: Not a directory; set XDG_CACHE_HOME"):
        OnnxRuntime(provider="tensorrt").open(bundle, stage)


def test_an_empty_cache_home_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert engine_cache() == tmp_path / ".cache/masklet/onnxruntime-tensorrt"


def assigned(**nodes: list[str]) -> Any:
    """A session that says it assigned operators so."""

    def part(name: str, operators: list[str]) -> Any:
        listed: Callable[[], list[Any]] = lambda: [SimpleNamespace(op_type=op) for op in operators]  # noqa: E731
        return SimpleNamespace(ep_name=f"{name}ExecutionProvider", get_nodes=listed)

    return SimpleNamespace(
        get_provider_graph_assignment_info=lambda: [part(*item) for item in nodes.items()],
        get_providers=lambda: [f"{name}ExecutionProvider" for name in nodes],
    )


def test_what_falls_back_is_counted_by_products() -> None:
    whole = Placement(assigned(CUDA=["Conv", "MatMul", "Add"], CPU=["Shape", "Gather"]))
    assert whole.falls_back("cuda") is None
    assert str(whole) == "CUDA 3 nodes, CPU 2 nodes"
    partly = Placement(assigned(CUDA=["Conv", "Add"], CPU=["MatMul"]))
    assert partly.falls_back("cuda") == "1 of 2 products on CPU"
    assert Placement(assigned(CPU=["Conv"])).falls_back("cuda") == "1 of 1 products on CPU"
    assert Placement(assigned(CPU=["Cast"])).falls_back("tensorrt") == "no node on TensorRT"
    assert str(Placement(assigned(CUDA=["Conv"]))) == "CUDA"


def test_onnx_runtime_says_who_runs_what(nano_bundle: Path) -> None:
    """The interface that `Placement` reads is ONNX Runtime's own."""
    bundle = Bundle.load(nano_bundle)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    graph = bundle.path(bundle.artifact("memory_encoder", ("onnx",)))
    placement = Placement(onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"]))
    assert str(placement) == "CPU"
    assert placement.falls_back("cpu") is None
    assert "on CPU" in str(placement.falls_back("cuda"))


def test_engines_of_other_graphs_are_kept_apart(nano_bundle: Path) -> None:
    bundle = Bundle.load(nano_bundle)
    prefixes = {
        dict(requested("tensorrt", bundle.artifact(stage.name, ("onnx",)), 7))["TensorrtExecutionProvider"][
            "trt_engine_cache_prefix"
        ]
        for stage in bundle.model.stages
    }
    assert len(prefixes) == len(bundle.model.stages)
    options = dict(requested("tensorrt", bundle.manifest.artifacts[0], 7))["TensorrtExecutionProvider"]
    assert options["trt_engine_cache_path"] == options["trt_timing_cache_path"] == str(engine_cache())
    names = [name for name, _ in requested("tensorrt", bundle.manifest.artifacts[0], 7)]
    assert names == ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.mark.usefixtures("only_cpu")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--provider", "cuda", "--strict"], "has no CUDAExecutionProvider"),
        (["--backend", "tensorrt"], "tensorrt is not installed"),
        (["--cuda-graphs"], "--cuda-graphs is for"),
        (["--backend", "tensorrt", "--provider", "cuda"], "--provider is for --backend onnxruntime"),
    ],
)
def test_run_says_what_is_missing(cli: Cli, nano_bundle: Path, tmp_path: Path, options: list[str], said: str) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((64, 64, 3), np.uint8))
    code, _, err = cli("run", nano_bundle, tmp_path, "--point", "9,9", "--masks", tmp_path / "m.jsonl", *options)
    assert code == 2
    assert said in err
    assert err.strip().count("\n") == 0
