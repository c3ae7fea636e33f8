"""Values as wide as queries: the same numbers, and attention that TensorRT computes without storing its scores."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from masklet.calibration.graphs.attention_heads import widen_values
from masklet.calibration.graphs.fp16 import to_half
from masklet.calibration.graphs.stage_graph import tensor_types
from masklet.export.engines.build import BuildOptions, build_engine
from masklet.export.engines.device_profile import DeviceProfile
from masklet.export.engines.memory import TACTIC_BYTES, activation_bytes
from masklet.export.engines.network import parse
from masklet.export.engines.shapes import optimization_profiles
from masklet.export.graphs.standard_operators import plain
from masklet.runtime.backends.trt.library import load_library
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import StageSpec, TensorSpec
from onnx import TensorProto, helper

HEADS = 2
ATTRIBUTES = {"num_heads": HEADS, "scale": 0.1}


def attentions(rows: int, channels: int, of_values: int) -> onnx.ModelProto:
    """Two attentions, one after the other, of which the second one's queries are the first one's keys."""
    shapes = {"q": channels, "k": channels, "v": of_values}
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, rows, HEADS * c)) for n, c in shapes.items()]
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, rows, HEADS * of_values)) for n in "ab"]
    nodes = [
        helper.make_node("MultiHeadAttention", [*given, "v"], [made], made, "", "com.microsoft", **ATTRIBUTES)
        for given, made in (("qk", "a"), ("kq", "b"))
    ]
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid("com.microsoft", 1)]
    return plain(helper.make_model(helper.make_graph(nodes, "g", inputs, outputs), opset_imports=opsets, ir_version=10))


def operators(model: onnx.ModelProto, kind: str) -> int:
    return sum(node.op_type == kind for node in model.graph.node)


def test_wider_values_give_the_same() -> None:
    model = attentions(9, 12, 5)
    rng = np.random.default_rng(0)
    feeds = {n: rng.standard_normal((1, 9, HEADS * c), dtype=np.float32) for n, c in (("q", 12), ("k", 12), ("v", 5))}
    before = ort.InferenceSession(model.SerializeToString()).run(None, feeds)
    widen_values(model)
    after = ort.InferenceSession(model.SerializeToString()).run(None, feeds)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert (operators(model, "Pad"), operators(model, "Slice")) == (1, 2)


@pytest.mark.parametrize(("channels", "of_values"), [(12, 12), (5, 12), (300, 12)], ids=["as wide", "wider", "huge"])
def test_others_are_left_alone(channels: int, of_values: int) -> None:
    model = attentions(9, channels, of_values)
    before = model.SerializeToString()
    widen_values(model)
    assert model.SerializeToString() == before


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
@pytest.mark.parametrize("widened", [True, False], ids=["widened", "as it was"])
def test_fused_attention_stores_no_scores(nano_bundle: Path, tmp_path: Path, precision: str, widened: bool) -> None:
    """As the builder states it, and as it is estimated."""
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX is not installed")
    rows, channels, of_values = 2048, 64, 32
    model = attentions(rows, channels, of_values)
    if widened:
        widen_values(model)
    if precision == "fp16":
        to_half(model, tensor_types(model), set())
    path = tmp_path / "attentions.onnx"
    onnx.save(model, path)
    inputs = tuple(TensorSpec(n, (1, rows, HEADS * c)) for n, c in (("q", channels), ("k", channels), ("v", of_values)))
    stage = StageSpec("two", inputs, tuple(TensorSpec(n, (1, rows, HEADS * of_values)) for n in "ab"))
    library = load_library("tensorrt-rtx")
    profiles = optimization_profiles(Bundle.load(nano_bundle).model, stage, DeviceProfile())
    engine = build_engine(library, "tensorrt-rtx", stage, path, profiles, BuildOptions(), lambda *step: None)
    estimated = activation_bytes(parse(library, stage, path), {t.name: t.sized({}) for t in inputs})
    (stated,) = engine.activations
    scores = HEADS * rows * rows * (2 if precision == "fp16" else 4)
    fused = widened and precision == "fp16"
    assert (stated < scores) == fused
    assert (estimated - TACTIC_BYTES < scores) == fused
    assert stated / 2 < estimated < 2 * stated + TACTIC_BYTES
