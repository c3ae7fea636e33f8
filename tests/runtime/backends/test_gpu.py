"""What takes an NVIDIA GPU: adapters, providers, engines (`pytest -m gpu`). Without one each test says why it skips."""

import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from masklet.runtime.backends.gpu.cuda import ADAPTERS, open_cuda
from masklet.runtime.backends.gpu.cuda.protocol import Cuda
from masklet.runtime.backends.gpu.device_memory import DeviceMemory
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.trt.fingerprint import BuildFlag
from masklet.runtime.backends.trt.library import Backend, load_library
from masklet.runtime.bundle.bundle import Bundle, BundleChoice
from masklet.runtime.errors import SessionError
from masklet.runtime.startup.backend_choice import BackendChoice
from masklet.runtime.startup.engine_check import check_engines

pytestmark = pytest.mark.gpu


@pytest.fixture(params=ADAPTERS)
def cuda(request: pytest.FixtureRequest) -> Cuda:
    return opened(request.param)


def opened(adapter: str | None = None) -> Cuda:
    try:
        return open_cuda(adapter)
    except SessionError as error:
        pytest.skip(str(error))


def built(nano_bundle: Path, tmp_path: Path, backend: Backend, *, strip_weights: bool = False) -> Bundle:
    """A bundle with engines for this GPU, which building has compared with their graphs."""
    opened().close()
    try:
        load_library(backend)
    except SessionError as error:
        pytest.skip(str(error))
    from masklet.export.engines.build import BuildOptions
    from masklet.export.engines.build_bundle import BuildRequest, run_build

    root = Path(shutil.copytree(nano_bundle, tmp_path / "nano.bundle"))
    run_build(
        BuildRequest(BundleChoice(root), backend, None, (), BuildOptions(tf32=False, strip_weights=strip_weights))
    )
    return Bundle.load(root)


def test_an_adapter_moves_bytes_and_says_what_gpu_it_is(cuda: Cuda) -> None:
    memory = DeviceMemory(cuda)
    values = np.random.default_rng(0).standard_normal((7, 33)).astype(np.float32)
    first = memory.upload(values)
    second = memory.empty(values.shape, values.dtype)
    memory.write(second, first)
    np.testing.assert_array_equal(np.asarray(second), values)
    assert cuda.facts.memory_bytes > 1 << 28
    assert cuda.stream != 0
    memory.close()
    cuda.close()


def test_an_adapter_captures_and_replays(cuda: Cuda) -> None:
    memory = DeviceMemory(cuda)
    source, target = memory.upload(np.arange(5.0)), memory.upload(np.zeros(5))
    memory.synchronize()
    graph = cuda.capture(lambda: memory.write(target, source))
    if graph is None:
        pytest.skip("pycuda has no CUDA graphs")
    memory.write(source, np.arange(5.0) + 1)
    cuda.launch(graph)
    np.testing.assert_array_equal(np.asarray(target), np.arange(5.0) + 1)
    memory.close()
    cuda.close()


def test_more_memory_than_there_is_says_how_much(cuda: Cuda) -> None:
    with pytest.raises(SessionError, match="out of GPU memory"):
        cuda.allocate(1 << 50)
    cuda.close()


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_provider_computes_what_the_cpu_does(nano_bundle: Path, provider: str) -> None:
    opened().close()
    name = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}[provider]
    if name not in onnxruntime.get_available_providers():
        pytest.skip(f"this ONNX Runtime has no {name}")
    found = check_engines(Bundle.load(nano_bundle), OnnxRuntime(provider=provider, strict=True))  # type: ignore[arg-type]
    assert found.passed
    assert max(found.relative.values()) < 1e-3


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx"])
@pytest.mark.parametrize("graphs", [False, True])
def test_engines_compute_what_their_graphs_do(
    nano_bundle: Path, tmp_path: Path, backend: Backend, graphs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bundle = built(nano_bundle, tmp_path, backend)
    told: list[str] = []
    with BackendChoice(backend, settings={"cuda_graphs": graphs}).sessions(bundle, told.append):
        assert told[-1].startswith(f"all {len(bundle.model.stages)} stages: {backend}")
    from masklet.runtime.backends.trt.backend import TensorRt

    found = check_engines(bundle, TensorRt(backend, graphs=graphs), frames=9)
    assert found.passed
    assert max(found.relative.values()) < 1e-2


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx"])
def test_engines_without_weights_take_them_from_their_graphs(
    nano_bundle: Path, tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are compared with their graphs when they are built, or else when they are opened."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bundle = built(nano_bundle, tmp_path, backend, strip_weights=True)
    assert all(BuildFlag.STRIPPED in a.built_for["flags"] for a in bundle.manifest.artifacts if a.built_for)
    BackendChoice(backend).sessions(bundle, lambda line: None).close()
