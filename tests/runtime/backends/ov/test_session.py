"""A stage on OpenVINO: shapes that change, outputs that stay, a dynamic model that is not trusted, bounded memory."""

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.output_error import output_error
from masklet.runtime.backends.ov import dynamic_model
from masklet.runtime.backends.ov.backend import OpenVino, computed_precision
from masklet.runtime.backends.ov.dynamic_model import DynamicModel
from masklet.runtime.backends.ov.shapes import RecentShapes
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.bundle.spec import StageSpec, Tensor, TensorSpec
from masklet.runtime.errors import SessionError, SpecError
from onnx import TensorProto, helper

SHAPES = [(1, 1, 1), (1, 2, 2), (2, 3, 4), (1, 2, 2), (1, 2, 2), (3, 7, 16), (2, 3, 4)]  # objects, memories, pointers


def attention_feeds(stage: StageSpec, shape: tuple[int, int, int], seed: int = 0) -> dict[str, Tensor]:
    sizes, rng = dict(zip(("objects", "memories", "pointers"), shape, strict=True)), np.random.default_rng(seed)
    feeds = {t.name: rng.standard_normal(t.sized(sizes)).astype(t.dtype) for t in stage.inputs}
    return feeds | {"memory_time": rng.integers(0, 7, feeds["memory_time"].shape)}


def test_shapes_that_change(nano_bundle: Path) -> None:
    """Each call, on the dynamic model or on one of its shape, is ONNX Runtime's; outputs of earlier calls stay."""
    bundle = Bundle.load(nano_bundle)
    stage = bundle.model.stage("memory_attention")
    reference, session = OnnxRuntime(1).open(bundle, stage), OpenVino(1).open(bundle, stage)
    kept = []
    for seed, shape in enumerate(SHAPES):
        feeds = attention_feeds(stage, shape, seed)
        got, wanted = session.run(feeds)["image_embed"], reference.run(feeds)["image_embed"]
        kept.append((got, got.copy()))
        assert output_error(got, wanted).relative < 1e-5, shape
    for given, copied in kept:
        np.testing.assert_array_equal(given, copied)


def test_feeds_that_cannot_be_read_in_place(nano_bundle: Path) -> None:
    bundle = Bundle.load(nano_bundle)
    stage = bundle.model.stage("memory_attention")
    session = OpenVino(1).open(bundle, stage)
    feeds = attention_feeds(stage, (2, 3, 4))
    wanted = session.run(feeds)["image_embed"]
    fixed, slow = dict(feeds), dict(feeds)
    for name in feeds:
        fixed[name] = feeds[name].copy()
        fixed[name].flags.writeable = False
        slow[name] = np.asfortranarray(feeds[name])
    for given in (fixed, slow):
        np.testing.assert_array_equal(session.run(given)["image_embed"], wanted)


def test_feeds_that_do_not_fit_and_a_closed_session(nano_bundle: Path) -> None:
    bundle = Bundle.load(nano_bundle)
    stage = bundle.model.stage("mask_prompt_encoder")
    session = OpenVino(1).open(bundle, stage)
    with pytest.raises(SpecError, match="mask_prompt_encoder"):
        session.run({"mask": np.zeros((1, 5, 5), np.uint8)})
    session.close()
    with pytest.raises(SessionError, match="'mask_prompt_encoder' was closed"):
        session.run({"mask": np.zeros(stage.inputs[0].sized({"objects": 1}), np.uint8)})


def recent(calls: list[int], kept: int = 2, seen_before: int = 2) -> list[bool]:
    """Whether each call of a shape gets a model of its own."""
    shapes, worth = RecentShapes(kept, seen_before, window=12), []
    for size in calls:
        worth.append(shapes.is_worth((size,)))
        if worth[-1]:
            shapes.keep((size,))
    return worth


def test_only_shapes_that_come_again_get_a_model() -> None:
    assert recent([1, 1, 1]) == [True, True, True]  # the first, without a dynamic model beside it
    assert recent([1, 2, 3, 4, 5]) == [True, False, False, False, False]  # memories fill up
    assert recent([1, 2, 2, 2]) == [True, False, False, True]
    taking_turns = recent([1, 2, 3] * 8)
    assert sum(taking_turns[9:]) == 10, "two of three keep theirs, and the third does not push them out"
    assert recent([1, 2, 2, 2] + [3] * 9)[-1], "what came often lately takes the place of what did not"


def test_models_of_shapes_are_bounded(nano_bundle: Path) -> None:
    bundle = Bundle.load(nano_bundle)
    session = OpenVino(1).open(bundle, bundle.model.stage("mask_prompt_encoder"))
    mask = bundle.model.stage("mask_prompt_encoder").inputs[0]
    for objects in range(1, 9):
        for _ in range(6):
            session.run({"mask": np.zeros(mask.sized({"objects": objects}), np.uint8)})
    assert len(session._of_shape) == len(session._shapes._compiled) <= 4


def write_sum_of_convolutions(folder: Path) -> StageSpec:
    """One map's convolution plus those of several objects, which OpenVINO 2026.4 adds wrongly in a dynamic model."""
    rng = np.random.default_rng(0)
    weight = onnx.numpy_helper.from_array(rng.standard_normal((16, 16, 1, 1)).astype(np.float32), "w")
    bias = onnx.numpy_helper.from_array(rng.standard_normal(16).astype(np.float32), "b")
    nodes = [
        helper.make_node("Conv", ["one", "w", "b"], ["a"]),
        helper.make_node("Conv", ["several", "w", "b"], ["c"]),
        helper.make_node("Add", ["a", "c"], ["y"]),
    ]
    values = {"one": [1, 16, 8, 8], "several": ["objects", 16, 8, 8], "y": ["objects", 16, 8, 8]}
    infos = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in values.items()}
    graph = helper.make_graph(nodes, "sum", [infos["one"], infos["several"]], [infos["y"]], [weight, bias])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), folder / "sum.onnx")
    inputs = (TensorSpec("one", (1, 16, 8, 8)), TensorSpec("several", ("objects", 16, 8, 8)))
    return StageSpec("sum", inputs, (TensorSpec("y", ("objects", 16, 8, 8)),))


def test_a_wrong_dynamic_model_is_not_used(tmp_path: Path) -> None:
    stage = write_sum_of_convolutions(tmp_path)
    session = OpenVino(2).open_graph(tmp_path / "sum.onnx", stage)
    reference = OnnxRuntime(1).open_graph(tmp_path / "sum.onnx", stage)
    rng = np.random.default_rng(1)
    for objects in (1, 2, 3, 5):
        feeds = {t.name: rng.standard_normal(t.sized({"objects": objects})).astype(np.float32) for t in stage.inputs}
        assert output_error(session.run(feeds)["y"], reference.run(feeds)["y"]).relative < 1e-5


def test_what_came_of_the_comparison_is_kept(nano_bundle: Path, tmp_path: Path) -> None:
    """On disk, by which sizes are 1: the next process believes it, also where one died over it, but no damaged note."""
    bundle = Bundle.load(nano_bundle)
    stage = bundle.model.stage("memory_attention")
    path = bundle.path(bundle.artifact(stage.name, ("onnx",)))
    feeds, note = attention_feeds(stage, (1, 2, 3)), tmp_path / dynamic_model.NOTE

    def dynamic() -> DynamicModel:
        graph = OpenVino(1).open_graph(path, stage, tmp_path)._graph
        assert graph is not None
        return DynamicModel(graph)

    wanted = dynamic().run(feeds, stage.check(feeds))
    assert wanted is not None
    assert msgspec.json.decode(note.read_bytes()) == {"1nn": "agrees"}
    for left, is_used in (("agrees", True), ("begun", False), ("differs", False)):
        note.write_bytes(msgspec.json.encode({"1nn": left}))
        assert (dynamic().run(feeds, stage.check(feeds)) is not None) == is_used
    note.write_bytes(b"{")
    again = dynamic().run(feeds, stage.check(feeds))
    assert again is not None
    np.testing.assert_array_equal(again["image_embed"], wanted["image_embed"])


def test_precisions_by_name() -> None:
    assert computed_precision(Precision.FP32, "bf16") is Precision.BF16
    assert computed_precision(Precision.INT8, "bf16") is computed_precision(Precision.INT8_FP16, "bf16")
    assert computed_precision(Precision.INT8, "bf16") is Precision.INT8_BF16
    assert computed_precision(Precision.INT8, "f32") is Precision.INT8
    assert computed_precision(Precision.FP32, "f16") is Precision.FP16
