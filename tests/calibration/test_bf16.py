"""bfloat16, which is in no graph: proved by the machine itself or by rounding, and kept in the manifest."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from calibration_scenes import Scene
from command_line import Cli
from masklet.calibration.graphs.bf16 import round_to_bfloat16
from masklet.calibration.graphs.stage_graph import PLAIN, load_graphs
from masklet.calibration.search import low_runtime
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.errors import SessionError
from onnx import TensorProto, helper, numpy_helper

STAGES = ("image_encoder", "memory_attention", "mask_decoder", "memory_encoder")


def native() -> bool:
    """Whether OpenVINO computes in bfloat16 here."""
    return not low_runtime.LowRuntime(Precision.BF16, 1).rounds


@pytest.fixture
def by_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that does not compute in bfloat16."""

    def refuse(*given: object, **settings: object) -> None:
        raise SessionError("an old CPU computes in f32")

    monkeypatch.setattr(low_runtime, "OpenVino", refuse)


def calibrate(cli: Cli, bundle: Path, scene: Scene, out: Path, *words: object) -> tuple[int, str, str]:
    given = ["calibrate", bundle, scene.frames, *scene.words(), "--truth", scene.masks, "-o", out, "--threads", 1]
    return cli(*given, "--precision", "bf16", "--end", 6, *words)


@pytest.mark.usefixtures("user_cache")
@pytest.mark.skipif(not native(), reason="this CPU does not compute in bf16")
def test_proved_on_the_machine_itself(cli: Cli, trained_bundle: Path, scenes: list[Scene], tmp_path: Path) -> None:
    out = tmp_path / "bf16.bundle"
    code, said, err = calibrate(cli, trained_bundle, scenes[0], out, "--no-search")
    assert code == 0, err
    assert "on CPU in bf16, FP32 on ONNX Runtime" in said
    proved, full = Bundle.load(out).manifest, Bundle.load(trained_bundle).manifest
    assert {f.sha256 for f in proved.files()} == {f.sha256 for f in full.files()}
    assert proved.parity == full.parity
    assert all(proved.proves(stage, Precision.BF16) for stage in STAGES)
    assert not proved.proves("mask_prompt_encoder", Precision.BF16)
    report = json.loads(out.with_suffix(".report.json").read_bytes())
    assert all(report["stages"][stage]["ms"] > 0 for stage in STAGES)
    assert 0.98 < report["figures"]["iou"] < 1
    words = ["run", out, scenes[0].frames, *scenes[0].words(), "--masks", tmp_path / "m.jsonl", "--threads", 1]
    words += ["--end", 4]
    code, _, err = cli(*words, "--backend", "openvino", "--precision-hint", "bf16")
    assert code == 0, err
    assert "not proved" not in err
    assert "CPU, bf16; mask_prompt_encoder: OpenVINO" in err  # which has no layers, and is computed in FP32
    code, _, err = cli(*words, "--backend", "auto")
    assert code == 0, err
    assert "openvino:bf16" in err
    code, out_text, _ = cli("inspect", out)
    assert "--precision-hint bf16 is proved for image_encoder" in " ".join(out_text.split())


@pytest.mark.usefixtures("by_rounding")
def test_proved_by_rounding(cli: Cli, trained_bundle: Path, scenes: list[Scene], tmp_path: Path) -> None:
    out = tmp_path / "bf16.bundle"
    code, said, err = calibrate(cli, trained_bundle, scenes[0], out)
    assert code == 0, err
    assert "ONNX Runtime, rounding to bfloat16 (an old CPU computes in f32)" in " ".join(said.split())
    assert "as fast as FP32" not in said
    report = json.loads(out.with_suffix(".report.json").read_bytes())
    for stage in STAGES:
        assert report["stages"][stage]["ms"] is None
        assert 1e-4 < max(p["relative"] for p in report["stages"][stage]["parity"]) < 0.5
    assert 0.98 < report["figures"]["iou"] < 1
    assert Bundle.load(out).manifest.proves("image_encoder", Precision.BF16)


@pytest.mark.usefixtures("by_rounding")
def test_what_loses_too_much_is_not_written(
    cli: Cli, trained_bundle: Path, scenes: list[Scene], tmp_path: Path
) -> None:
    out = tmp_path / "bf16.bundle"
    code, _, err = calibrate(cli, trained_bundle, scenes[0], out, "--min-iou", 1, "--no-search")
    assert code == 2
    assert "was not written: mask IoU with FP32 is 0.9" in err
    assert not out.exists()
    assert calibrate(cli, trained_bundle, scenes[0], out, "--min-iou", 1, "--no-search", "--force")[0] == 0
    assert not Bundle.load(out).manifest.proves("image_encoder", Precision.BF16), "beyond its limits"


@pytest.mark.usefixtures("by_rounding")
def test_int8_layers_with_bfloat16_between_them(
    cli: Cli, trained_bundle: Path, scenes: list[Scene], tmp_path: Path
) -> None:
    """The graphs are INT8's, and both are proved: computed in FP32 between layers, and in bfloat16."""
    out = tmp_path / "int8-bf16.bundle"
    words = ["calibrate", trained_bundle, scenes[0].frames, *scenes[0].words(), "-o", out, "--threads", 1]
    assert cli(*words, "--precision", "int8-bf16", "--no-search", "--end", 6)[0] == 0
    bundle = Bundle.load(out)
    for stage in STAGES:
        assert bundle.artifact(stage, ("onnx",)).precision is Precision.INT8
        assert bundle.manifest.proves(stage, Precision.INT8_BF16)
        assert bundle.manifest.proves(stage, Precision.INT8)
        assert not bundle.manifest.proves(stage, Precision.BF16)


def bf16(values: np.ndarray) -> np.ndarray:
    return values.astype(ml_dtypes.bfloat16).astype(np.float32)


def test_a_product_is_rounded_as_hardware_does() -> None:
    """Rounded factors, a sum in FP32, a rounded result."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((8, 64)).astype(np.float32), rng.standard_normal((64, 32)).astype(np.float32)
    nodes = [helper.make_node("Neg", ["x"], ["n"], "neg"), helper.make_node("MatMul", ["n", "w"], ["y"], "product")]
    info = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", (8, 64)), ("y", (8, 32)))
    ]
    graph = helper.make_graph(nodes, "product", info[:1], info[1:], [numpy_helper.from_array(w, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    round_to_bfloat16(model)
    (got,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(got, bf16(bf16(-x) @ bf16(w)), rtol=2**-7)
    assert np.array_equal(got, bf16(got))


def test_every_stage_can_be_rounded(nano_bundle: Path) -> None:
    bundle = Bundle.load(nano_bundle)
    for stage in bundle.model.stages:
        model = load_graphs(bundle, stage.name)[PLAIN]
        round_to_bfloat16(model)
        onnx.checker.check_model(model)
