"""Engines of every stage, built by TensorRT for RTX on a machine without a GPU."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from built_engines import layers_of_engines
from command_line import Cli
from engines import with_engines
from fake_cuda import FACTS, FakeCuda
from masklet.export.engines import build_bundle as command
from masklet.export.engines.build import BuildOptions, Engine, _failure, build_engine
from masklet.export.engines.build_bundle import BuildRequest, run_build
from masklet.export.engines.device_profile import DeviceProfile, device_profile
from masklet.export.engines.layers import layers_from_log, operand_types
from masklet.export.engines.memory import TACTIC_BYTES, activation_bytes
from masklet.export.engines.network import Network, parse
from masklet.export.engines.shapes import optimization_profiles
from masklet.runtime.backends.trt.library import load_library
from masklet.runtime.backends.trt.log import Messages
from masklet.runtime.bundle.bundle import Bundle, BundleChoice
from masklet.runtime.bundle.spec import StageSpec
from masklet.runtime.errors import ExportError, SessionError
from onnx import TensorProto, helper

rtx = pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX is not installed")

Handler = Callable[..., Any]
STAGES = ("image_encoder", "memory_attention", "mask_decoder", "memory_encoder", "mask_prompt_encoder")
DEVICE = DeviceProfile(sizes={"objects": (1, 1, 2), "points": (1, 2, 4)})


@pytest.fixture(scope="module")
def built(nano_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that was built once, by the command line's own function."""
    root = Path(shutil.copytree(nano_bundle, tmp_path_factory.mktemp("engines") / "nano.bundle"))
    cache = root.parent / "timing.cache"
    run_build(BuildRequest(BundleChoice(root), "tensorrt-rtx", "rtx-4090", (), BuildOptions(timing_cache=cache)))
    assert cache.stat().st_size > 0
    return root


def test_every_stage_has_an_engine_that_the_manifest_lists(built: Path) -> None:
    layers = layers_of_engines(built, "rtx-4090")
    assert set(layers) == set(STAGES)
    for found in layers.values():
        assert any("Float" in operand_types(layer) for layer in found)
    said = {a.stage: a.built_for or {} for a in Bundle.load(built).manifest.artifacts if a.format == "tensorrt-rtx"}
    assert {each["compute_capability"] for each in said.values()} == {"8.9"}
    assert "memories 1/7/" in said["memory_attention"]["profiles"]


def test_a_second_build_has_nothing_to_do(built: Path, cli: Cli) -> None:
    before = (built / "manifest.json").read_bytes()
    options = ("--backend", "tensorrt-rtx", "--device", "rtx-4090")
    code, out, _ = cli("build", built, *options)
    assert (code, (built / "manifest.json").read_bytes()) == (0, before)
    assert "5 of 5 engines are up to date" in out
    code, out, _ = cli("build", built, *options, "--rebuild", "--stage", "mask_prompt_encoder", "--no-tf32")
    assert code == 0
    assert "mask_prompt_encoder" in out
    said = [a for a in Bundle.load(built).manifest.artifacts if a.format == "tensorrt-rtx"]
    assert len(said) == 5
    flags = {a.stage: (a.built_for or {})["flags"] for a in said}
    assert [stage for stage, text in flags.items() if "tf32" not in text] == ["mask_prompt_encoder"]


def test_inspect_shows_engines(built: Path, cli: Cli) -> None:
    code, out, _ = cli("inspect", built)
    assert code == 0
    assert out.count("tensorrt-rtx") >= 5


def test_a_dry_run_estimates_and_writes_nothing(nano_bundle: Path, cli: Cli) -> None:
    before = sorted(p.name for p in nano_bundle.iterdir())
    code, out, _ = cli(
        "build", nano_bundle, "--backend", "tensorrt-rtx", "--device", "jetson-orin-nano-8gb", "--dry-run"
    )
    assert code == 0
    assert "Jetson Orin Nano 8 GB" in out
    assert out.strip().endswith("fits")
    assert sorted(p.name for p in nano_bundle.iterdir()) == before


def test_what_does_not_fit_is_not_built(nano_bundle: Path, cli: Cli, tmp_path: Path) -> None:
    profile = tmp_path / "small.toml"
    profile.write_text('name = "tiny"\nmemory_mb = 300\n[sizes]\nobjects = [1, 1, 2]\npoints = [1, 2, 4]\n')
    code, _, err = cli("build", nano_bundle, "--backend", "tensorrt-rtx", "--device", profile)
    assert code == 2
    assert "does not fit" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--device", "nonsense"], "no device profile 'nonsense'; known: a100"),
        (["--device", "jetson-thor", "--force"], "does not build for compute capability 11.0, it builds for 7.5, 8.0"),
        (["--stage", "nonsense"], "no stage 'nonsense'"),
        (["--timing-cache", "."], "is a folder; give a file"),
    ],
)
def test_bad_input_is_one_line(nano_bundle: Path, cli: Cli, options: list[str], said: str) -> None:
    code, _, err = cli("build", nano_bundle, "--backend", "tensorrt-rtx", *options)
    assert code == 2
    assert said in err
    assert err.strip().count("\n") == 0


@pytest.mark.parametrize(
    ("backend", "option", "said"),
    [
        ("tensorrt-rtx", ["--version-compatible"], "only the release of TensorRT for RTX that built an engine"),
        ("tensorrt-rtx", ["--hardware-compatible"], "for every GPU of its compute capabilities"),
        ("tensorrt-rtx", ["--refit"], "need a GPU during the build"),
        ("tensorrt-rtx", ["--strip-weights"], "need a GPU during the build"),
        ("tensorrt", ["--compute-capability", "8.6"], "--compute-capability is for --backend tensorrt-rtx"),
    ],
)
def test_switches_that_this_tensorrt_does_not_have(
    nano_bundle: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, backend: str, option: list[str], said: str
) -> None:
    def no_gpu() -> None:
        raise SessionError("no driver")

    monkeypatch.setattr("masklet.export.engines.build_bundle.open_cuda", no_gpu)
    code, out, err = cli("build", nano_bundle, "--backend", backend, *option)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_engines_for_named_architectures_within_a_workspace(nano_bundle: Path, cli: Cli, tmp_path: Path) -> None:
    root = Path(shutil.copytree(nano_bundle, tmp_path / "nano.bundle"))
    named = ("--compute-capability", "8.6", "--compute-capability", "12.0", "--workspace-mb", 64)
    code, _, err = cli("build", root, "--backend", "tensorrt-rtx", "--stage", "mask_prompt_encoder", *named)
    assert code == 0, err
    (engine,) = (a for a in Bundle.load(root).manifest.artifacts if a.built_for)
    said = engine.built_for or {}
    assert said["compute_capability"] == "8.6, 12.0"
    assert said["flags"] == "strongly typed, tf32, workspace 64 MB"


def test_tensorrt_that_is_not_there_is_said(nano_bundle: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    code, _, err = cli("build", nano_bundle, "--backend", "tensorrt")
    assert (code, err.count("\n")) == (2, 1)
    assert "tensorrt is not installed; it comes with JetPack" in err


def test_an_operator_that_is_not_taken_is_named(nano_bundle: Path, tmp_path: Path) -> None:
    stage = Bundle.load(nano_bundle).model.stage("mask_prompt_encoder")
    node = helper.make_node("StringNormalizer", ["mask"], ["mask_prompt"], name="the_culprit")
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("mask", "mask_prompt")]
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    path = tmp_path / "strange.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9), path)
    with pytest.raises(ExportError, match=r"stage 'mask_prompt_encoder'.*node 'the_culprit' .StringNormalizer."):
        parse(load_library("tensorrt-rtx"), stage, path)


def test_too_little_workspace_says_what_to_raise(nano_bundle: Path) -> None:
    bundle = Bundle.load(nano_bundle)
    stage = bundle.model.stage("memory_attention")
    graph = bundle.path(bundle.artifact(stage.name, ("onnx",)))
    profiles = optimization_profiles(bundle.model, stage, DeviceProfile(sizes={"objects": (1, 1, 64)}))
    library = load_library("tensorrt-rtx")
    with pytest.raises(ExportError, match=r"out of memory while building: .*raise --workspace-mb .it is 1"):
        build_engine(library, "tensorrt-rtx", stage, graph, profiles, BuildOptions(workspace_mb=1), lambda *step: None)


def test_a_tactic_that_wants_too_much_is_said() -> None:
    """What a Jetson's builder logs (NVIDIA-AI-IOT/nanosam#18)."""
    messages = Messages()
    messages.verbose.append(
        "Tactic Device request: 4248MB Available: 2507MB. Device memory is insufficient to use tactic."
    )
    messages.errors.append("Error Code 10: Internal Error (Could not find any implementation for node MatMul_3.)")
    nothing: Any = None
    said = _failure(Network(nothing, nothing, nothing, nothing, messages), BuildOptions(workspace_mb=2048))
    assert "a tactic needed 4248 MB and 2507 MB were free; raise --workspace-mb (it is 2048)" in said


BUILD_AND_STOP = """
import os, signal, sys
from threading import Timer
from masklet.export.engines import build_bundle as command
from masklet.runtime.cli.main import main

begun, number = [], int(sys.argv.pop())

def building(bar, stage):
    begun.append(stage)
    if len(begun) == 1:
        Timer(0.05, os.kill, (os.getpid(), number)).start()
    return lambda phase, done, total: None

command._drawn = building
try:
    main()
finally:
    print("begun:", *begun)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_build_and_leaves_the_bundle(nano_bundle: Path, tmp_path: Path, number: signal.Signals) -> None:
    """A real signal in the midst of the building, in a process of its own, as `masklet build` gets it."""
    root = Path(shutil.copytree(nano_bundle, tmp_path / "nano.bundle"))
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    words = ["build", root, "--backend", "tensorrt-rtx", "--device", "rtx-4090"]
    words += ["--stage", "mask_decoder", "--stage", "memory_encoder"]
    line = [sys.executable, "-c", BUILD_AND_STOP, *map(str, words), str(int(number))]
    ended = subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 130, ended.stderr
    assert ended.stdout.splitlines()[-1] == "begun: mask_decoder"
    assert "Traceback" not in ended.stderr
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    assert list(tmp_path.iterdir()) == [root]


def test_a_timing_cache_that_cannot_be_kept_is_said_before_anything_is_built(
    nano_bundle: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "plan_stages", None)
    for cache, said in ((tmp_path / "missing" / "cache", "there is no folder"), (Path("/proc/cache"), "be written")):
        code, _, err = cli("build", nano_bundle, "--backend", "tensorrt-rtx", "--timing-cache", cache)
        assert (code, err.count("\n")) == (2, 1)
        assert said in err


class Gpu:
    """TensorRT with a GPU, as far as the command goes: the networks are real, engines are not built."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.checked: list[set[str]] = []
        self.built: list[str] = []
        self.facts = FACTS
        monkeypatch.setattr(command, "load_library", lambda backend: load_library("tensorrt-rtx"))
        monkeypatch.setattr(command, "open_cuda", lambda: FakeCuda(self.facts))
        monkeypatch.setattr(command, "build_engine", self._build)
        monkeypatch.setattr(command, "_checked", self._check)

    def run(self, root: Path, *stages: str) -> None:
        self.built.clear()
        run_build(BuildRequest(BundleChoice(root), "tensorrt", "l4", stages, BuildOptions()))

    def _build(self, library: object, backend: object, stage: StageSpec, *how: object) -> Engine:
        self.built.append(stage.name)
        return Engine(b"plan", [], "builder", (), 0.1)

    def _check(self, bundle: Bundle, backend: str) -> str:
        self.checked.append({a.stage for a in bundle.manifest.artifacts if a.format == backend})
        return "mask IoU 1.0000"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    return Gpu(monkeypatch)


def test_engines_are_checked_once_all_stages_have_one_for_this_machine(
    nano_bundle: Path, tmp_path: Path, gpu: Gpu
) -> None:
    bundle = Bundle.load(shutil.copytree(nano_bundle, tmp_path / "nano.bundle"))
    with_engines(bundle, gpu="NVIDIA L4", compute_capability="8.9")
    first, *others = STAGES
    gpu.run(bundle.root, first)
    assert (gpu.built, gpu.checked) == ([first], [])
    gpu.run(bundle.root, *others)
    assert (gpu.built, gpu.checked) == (others, [set(STAGES)])


def test_a_drivers_update_rebuilds_nothing(nano_bundle: Path, tmp_path: Path, gpu: Gpu) -> None:
    root = Path(shutil.copytree(nano_bundle, tmp_path / "nano.bundle"))
    gpu.run(root)
    assert gpu.built == [stage.name for stage in Bundle.load(root).model.stages]
    gpu.facts = replace(FACTS, driver="CUDA 13.1")
    gpu.run(root)
    assert gpu.built == []
    gpu.facts = replace(FACTS, name="Another GPU")
    gpu.run(root)
    assert len(gpu.built) == len(STAGES)


@pytest.mark.parametrize("stage_name", ["memory_attention", "memory_encoder"])
def test_memory_is_estimated(nano_bundle: Path, stage_name: str) -> None:
    """Activations to a factor of two of what the builder states, beyond what tactics take of a small model."""
    bundle, library = Bundle.load(nano_bundle), load_library("tensorrt-rtx")
    stage = bundle.model.stage(stage_name)
    graph = bundle.path(bundle.artifact(stage_name, ("onnx",)))
    profiles = optimization_profiles(bundle.model, stage, DEVICE)
    engine = build_engine(library, "tensorrt-rtx", stage, graph, profiles, BuildOptions(), lambda *step: None)
    for at, stated in zip((1, 2), engine.activations, strict=True):
        network = parse(library, stage, graph)
        estimated = activation_bytes(network, {name: shapes[at] for name, shapes in profiles[-1].shapes.items()})
        assert stated / 2 < estimated < 2 * stated + TACTIC_BYTES


def test_the_builders_account_is_read_whole() -> None:
    account = (
        "Layers:\n"
        "Name: a_0, LayerType: gemm, Inputs: [ { Name: x [profile 1], Dimensions: [-1,4], Strides: [4,1], StrideOrder: "
        "[1,0], Datatype: Int8, Format: (Linear) Row major linear format }], Constants: [], Outputs: [ { Name: y, "
        "Dimensions: [], Strides: [], StrideOrder: [], Datatype: Half, Format: (L) }], TacticName: t, StreamId: 0, "
        "EventId: 2, Metadata: [ONNX Layer: MatMul_1]\n"
        "I/O Tensors:\n Name: x, IOMode: Input\n"
    )
    (layer,) = layers_from_log(["something else", account])
    assert layer["Name"] == "a_0"
    assert layer["Inputs"] == [{"Name": "x [profile 1]", "Dimensions": [-1, 4], "Datatype": "Int8"}]
    assert layer["Outputs"] == [{"Name": "y", "Dimensions": [], "Datatype": "Half"}]
    assert operand_types(layer) == {"Int8", "Half"}
    assert layers_from_log(["nothing of the kind"]) == []


def test_profiles_of_devices_are_all_readable() -> None:
    from masklet.export.engines.device_profile import device_names

    assert len(device_names()) >= 12
    for name in device_names():
        profile = device_profile(name)
        assert profile.gpus
        assert profile.memory_mb
        assert profile.compute_capability
