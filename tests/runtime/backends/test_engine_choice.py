"""Which engine of a bundle is taken: one that was built for this machine, and that the manifest verifies."""

import shutil
from pathlib import Path

import pytest
from engines import VERSION, fake_tensorrt, with_engines
from fake_cuda import FakeCuda
from masklet.runtime.backends.trt.fingerprint import BuildFlag, Fingerprint
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.errors import SessionError


@pytest.fixture
def bundle(nano_bundle: Path, tmp_path: Path) -> Bundle:
    return with_engines(Bundle.load(shutil.copytree(nano_bundle, tmp_path / "nano.bundle")))


@pytest.mark.parametrize(
    ("built_for", "said"),
    [
        ({"gpu": "NVIDIA A100"}, "GPU: built for NVIDIA A100, here is Fake GPU"),
        ({"tensorrt": "10.16.1"}, f"TensorRT: built for 10.16.1, here is {VERSION}"),
        ({"compute_capability": "8.9"}, "compute capability: built for 8.9, here is 8.7"),
        ({"compute_capability": "8.9+"}, "compute capability: built for 8.9+, here is 8.7"),
        ({"graph": "0" * 64}, "the stage's graph: built for 0000"),
        ({"system": "Linux riscv"}, "system: built for Linux riscv"),
        ({"tensorrt": "10.4.0", "flags": "version compatible"}, "TensorRT: built for 10.4.0"),
    ],
)
def test_an_engine_for_another_machine_is_refused_by_what_differs(
    bundle: Bundle, built_for: dict[str, str], said: str
) -> None:
    other = with_engines(bundle, **built_for)
    with pytest.raises(SessionError, match="--rebuild") as error:
        fake_tensorrt(other, FakeCuda()).open(other, other.model.stage("memory_encoder"))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "built_for",
    [
        {"gpu": "any", "compute_capability": "8.0+"},
        {"compute_capability": "8.6, 8.7"},
        {"driver": "CUDA 11.4"},
        {"gpu": "NVIDIA A100", "compute_capability": "8.0+", "flags": "strongly typed, hardware compatible"},
        {"tensorrt": "10.1.0", "flags": "version compatible"},
    ],
)
def test_an_engine_that_suits_this_machine_is_taken(bundle: Bundle, built_for: dict[str, str]) -> None:
    other = with_engines(bundle, **built_for)
    session = fake_tensorrt(other, FakeCuda()).open(other, other.model.stage("memory_encoder"))
    assert session.spec.name == "memory_encoder"


def test_a_stage_without_an_engine_says_how_to_build_one(nano_bundle: Path) -> None:
    bundle = Bundle.load(nano_bundle)
    with pytest.raises(SessionError, match=r"has no tensorrt engine; masklet build .* --backend tensorrt"):
        fake_tensorrt(bundle, FakeCuda()).open(bundle, bundle.model.stage("memory_encoder"))


@pytest.mark.parametrize("harm", ["cut", "altered"])
def test_an_engine_that_differs_from_the_manifest_is_not_loaded(bundle: Bundle, harm: str) -> None:
    path = bundle.root / "engines/tensorrt/fake/memory_encoder.engine"
    plan = path.read_bytes()
    path.write_bytes(plan[:-3] if harm == "cut" else bytes([plan[0] ^ 1]) + plan[1:])
    unhashed = Bundle(bundle.root, bundle.manifest)  # as with --no-hashes: the engine's hash counts all the same
    with pytest.raises(SessionError, match="truncated" if harm == "cut" else "is not the manifest's"):
        fake_tensorrt(unhashed, FakeCuda()).open(unhashed, unhashed.model.stage("memory_encoder"))


def test_a_fingerprint_is_read_as_earlier_bundles_have_it() -> None:
    said = {"tensorrt": "10.3.0", "gpu": "any", "flags": "strongly typed, weights stripped", "check": "built, not run"}
    built = Fingerprint.of(Artifact("s", "tensorrt", Precision.FP16, (), {**said, "unknown": "later"}))
    assert built.entries() == said
    assert built.not_run
    assert [flag for flag in BuildFlag if built.has(flag)] == [BuildFlag.STRIPPED]
    run = Fingerprint.of(Artifact("s", "tensorrt", Precision.FP16, (), {**said, "check": "mask IoU 1.0000"}))
    assert not run.not_run
    assert run.before_its_check() == built
