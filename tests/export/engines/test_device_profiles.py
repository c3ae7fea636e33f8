"""Device profiles, and the shapes that follow from them; TensorRT is not needed."""

import subprocess
import sys
from pathlib import Path

import pytest
from masklet.export.engines.device_profile import DeviceProfile, device_profile, profile_for_gpu
from masklet.export.engines.memory import CONTEXT_BYTES, StageMemory
from masklet.export.engines.preflight import MARGIN, preflight
from masklet.export.engines.shapes import optimization_profiles, symbol_sizes
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import MaskletError, SpecError
from masklet.runtime.tracking.known_policies import bank_bytes

GIB = 1 << 30


@pytest.mark.parametrize("module", ["masklet.export.engines.build_bundle", "masklet.export.engines.verb"])
def test_engines_are_built_without_torch(module: str) -> None:
    code = f"import {module}, sys; print(sorted({{'torch', 'transformers', 'onnx'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("gpu", "memory_gib", "name"),
    [
        ("NVIDIA L4", 22, "l4"),
        ("NVIDIA L40S", 45, None),
        ("Tesla T4", 15, "t4"),
        ("NVIDIA T400", 4, None),
        ("NVIDIA A100-SXM4-40GB", 39, "a100"),
        ("NVIDIA H100 80GB HBM3", 79, "h100"),
        ("NVIDIA GeForce RTX 4090", 24, "rtx-4090"),
        ("Orin", 7, "jetson-orin-nano-8gb"),
        ("Orin", 15, "jetson-orin-nx-16gb"),
        ("Orin", 61, "jetson-agx-orin-64gb"),
        ("NVIDIA Thor", 122, "jetson-thor"),
        ("Some other", 8, None),
    ],
)
def test_the_gpu_that_is_here_finds_its_profile(gpu: str, memory_gib: int, name: str | None) -> None:
    found = profile_for_gpu(gpu, memory_gib * 1024)
    assert (found and found[0]) == name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = 3", "not a device profile"),
        ("nonsense = 1", "unknown field"),
        ("[sizes]\nobjects = [3, 2, 8]", "minimum, usual, maximum"),
        ("[sizes]\nobjects = [0, 2, 8]", "not a device profile"),
        ("[precision]\ndefault = 'fp12'", "not a device profile"),
        ("compute_capability = '87'", "not a device profile"),
        ("= = =", "not a device profile"),
    ],
)
def test_a_profile_that_says_nonsense_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(MaskletError, match=said) as error:
        device_profile(str(path))
    assert "\n" not in str(error.value)


def test_precision_is_the_stages_own_or_the_default() -> None:
    profile = device_profile("jetson-orin-nano-8gb")
    assert profile.precision_of("image_encoder") == "fp16"
    assert profile.precision_of("mask_decoder") == "fp32"


def test_shapes_follow_from_the_declaration(nano_bundle: Path) -> None:
    model = Bundle.load(nano_bundle).model
    assert model.memory
    attention = model.stage("memory_attention")
    usual, anything = optimization_profiles(model, attention, DeviceProfile(sizes={"objects": (1, 1, 4)}))
    memories = model.memory.prompted_frames + model.memory.recent_frames
    tokens, width = attention.inputs[1].shape[2:]
    assert usual.shapes["memory"] == ((1, model.memory.recent_frames + 1, tokens, width),) * 3
    assert anything.shapes["memory"][0] == (1, 1, tokens, width)
    assert anything.shapes["memory"][2] == (4, memories, tokens, width)
    (fixed,) = optimization_profiles(model, model.stage("image_encoder"), DeviceProfile())
    assert str(fixed) == "fixed"


def test_a_symbol_without_sizes_is_named(nano_bundle: Path) -> None:
    model = Bundle.load(nano_bundle).model
    with pytest.raises(SpecError, match=r"no sizes of 'points'; add to its .sizes.: points ="):
        symbol_sizes(model, model.stage("mask_decoder"), "points", DeviceProfile(sizes={"objects": (1, 1, 1)}))


def test_preflight_adds_up(nano_bundle: Path) -> None:
    """By hand: weights of all, activations of the hungriest, a bank an object."""
    model = Bundle.load(nano_bundle).model
    device = DeviceProfile(memory_mb=8192, reserved_mb=2048, sizes={"objects": (1, 1, 3), "points": (1, 2, 2)})
    stages = [StageMemory(GIB, (GIB, 3 * GIB)), StageMemory(GIB // 2, (2 * GIB, 2 * GIB))]
    found = preflight(model, stages, device)
    assert found.build == CONTEXT_BYTES + 5 * GIB
    assert found.limit == int(6 * GIB * MARGIN)
    small = found.run[0] - (CONTEXT_BYTES + 3 * GIB // 2 + 2 * GIB + bank_bytes(model))
    assert 0 < small < 64 << 20
    assert found.run[1] - found.run[0] >= GIB + 2 * bank_bytes(model)
    assert not found.fits
    assert preflight(model, [StageMemory(GIB, (GIB, GIB))], device).verdict == "fits"
    to_the_limit = StageMemory(0, (GIB, found.limit - CONTEXT_BYTES))
    assert "fits at the usual sizes" in preflight(model, [to_the_limit], device).verdict
