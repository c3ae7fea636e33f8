"""FLOPs and bytes counted by hand on small graphs, and what is known of SAM 2's."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from masklet.export.families.sam2 import FAMILY
from masklet.export.graphs.whole_tiles import cut_into_tiles
from masklet.profiles.model.graph_cost import GraphCost, graph_cost
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import StageSpec, Tensor, TensorSpec
from onnx import TensorProto, helper, numpy_helper
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

X = TensorSpec("x", ("n", 3, 8, 8))


def save(path: Path, nodes: list[onnx.NodeProto], stage: StageSpec, **weights: Tensor) -> Path:
    inputs = [helper.make_tensor_value_info(t.name, TensorProto.FLOAT, t.shape) for t in stage.inputs]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "test", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), path)
    return path


def cost(path: Path, nodes: list[onnx.NodeProto], tensors: list[TensorSpec], **weights: Tensor) -> GraphCost:
    """The cost at n=2, s=5."""
    stage = StageSpec("test", tuple(tensors), (TensorSpec("y", (1,)),))
    sizes = {symbol: {"n": 2, "s": 5}[symbol] for symbol in stage.symbols()}
    return graph_cost(save(path / "graph.onnx", nodes, stage, **weights), stage, sizes)


def test_a_convolution(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1], group=1)
    found = cost(tmp_path, [node], [X], w=np.zeros((16, 3, 3, 3), np.float32))
    outputs = 2 * 16 * 4 * 4
    assert found == GraphCost(2 * outputs * 3 * 9, 4 * (2 * 3 * 64 + 16 * 27 + outputs))


def test_a_depthwise_convolution(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1], group=3)
    found = cost(tmp_path, [node], [X], w=np.zeros((3, 1, 3, 3), np.float32))
    assert found.flops == 2 * (2 * 3 * 64) * 9


def test_a_transposed_convolution_counts_each_input_times_the_kernel(tmp_path: Path) -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])
    found = cost(tmp_path, [node], [X], w=np.zeros((3, 5, 2, 2), np.float32))
    assert found == GraphCost(2 * (2 * 3 * 64) * 5 * 4, 4 * (2 * 3 * 64 + 60 + 2 * 5 * 256))


def test_a_batched_product_and_a_gemm(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["a", "w"], ["p"]),
        helper.make_node("Reshape", ["p", "rows"], ["r"]),
        helper.make_node("Gemm", ["r", "v"], ["y"], transB=1),
    ]
    weights: dict[str, Tensor] = {
        "w": np.zeros((4, 6), np.float32),
        "rows": np.array([-1, 6]),
        "v": np.zeros((7, 6), np.float32),
    }
    found = cost(tmp_path, nodes, [TensorSpec("a", ("n", "s", 4))], **weights)
    assert found.flops == 2 * (2 * 5 * 6) * 4 + 2 * (10 * 7) * 6


def test_fused_attention_is_its_two_products_and_its_scores_stay_inside(tmp_path: Path) -> None:
    node = helper.make_node("MultiHeadAttention", ["q", "k", "v"], ["y"], num_heads=2, domain="com.microsoft")
    tensors = [TensorSpec("q", ("n", 3, 8)), TensorSpec("k", ("n", "s", 8)), TensorSpec("v", ("n", "s", 4))]
    found = cost(tmp_path, [node], tensors)
    assert found.flops == 2 * (2 * 3 * 5) * 8 + 2 * (2 * 3 * 4) * 5
    assert found.bytes == 4 * (2 * 3 * 8 + 2 * 5 * 8 + 2 * 5 * 4 + 2 * 3 * 4)


def test_a_shape_that_the_graph_computes_is_followed(tmp_path: Path) -> None:
    """[n, s, 4] flattened to [1, n * s, 4] by numbers taken from Shape, as traced graphs do."""
    nodes = [
        helper.make_node("Shape", ["a"], ["n_"], start=0, end=1),
        helper.make_node("Shape", ["a"], ["s_"], start=1, end=2),
        helper.make_node("Mul", ["n_", "s_"], ["ns"]),
        helper.make_node("Concat", ["one", "ns", "four"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["a", "wanted"], ["r"]),
        helper.make_node("MatMul", ["r", "w"], ["y"]),
    ]
    weights: dict[str, Tensor] = {"one": np.array([1]), "four": np.array([4]), "w": np.zeros((4, 6), np.float32)}
    found = cost(tmp_path, nodes, [TensorSpec("a", ("n", "s", 4))], **weights)
    assert found.flops == 2 * (10 * 6) * 4
    assert found.uncounted == ()


def test_quantised_weights_move_as_many_bytes_as_they_are_stored_in(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["w8", "scale"], ["w"]),
        helper.make_node("MatMul", ["a", "w"], ["y"]),
    ]
    weights: dict[str, Tensor] = {"w8": np.zeros((4, 6), np.int8), "scale": np.array(0.1, np.float32)}
    found = cost(tmp_path, nodes, [TensorSpec("a", ("n", 4))], **weights)
    assert found.bytes == 4 * 2 * 4 + 24 + 4 * 2 * 6


def test_what_cannot_be_counted_is_named(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Secret", ["a"], ["b"], name="inner", domain="com.microsoft"),
        helper.make_node("MatMul", ["b", "w"], ["y"], name="after"),
    ]
    found = cost(tmp_path, nodes, [TensorSpec("a", ("n", 4))], w=np.zeros((4, 6), np.float32))
    assert found == GraphCost(0, 0, ("Secret inner", "MatMul after"))


@pytest.mark.parametrize(("turned_a", "turned_b"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_fused_product_is_a_product(tmp_path: Path, turned_a: int, turned_b: int) -> None:
    attributes = {"transA": turned_a, "transB": turned_b, "alpha": 0.5}
    node = helper.make_node("FusedMatMul", ["a", "b"], ["y"], domain="com.microsoft", **attributes)
    a = TensorSpec("a", ("n", 4, 3) if turned_a else ("n", 3, 4))
    b = TensorSpec("b", ("n", "s", 4) if turned_b else ("n", 4, "s"))
    found = cost(tmp_path, [node], [a, b])
    assert found == GraphCost(2 * (2 * 3 * 5) * 4, 4 * (2 * 3 * 4 + 2 * 5 * 4 + 2 * 3 * 5))


def test_an_integer_product_that_becomes_fp32_is_a_product(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["a", "scale", "zero"], ["q"]),
        helper.make_node("MatMulIntegerToFloat", ["q", "w", "scale", "scale", "zero"], ["p"], domain="com.microsoft"),
        helper.make_node("Relu", ["p"], ["y"]),
    ]
    weights: dict[str, Tensor] = {
        "w": np.zeros((4, 6), np.int8),
        "scale": np.array(0.1, np.float32),
        "zero": np.array(128, np.uint8),
    }
    found = cost(tmp_path, nodes, [TensorSpec("a", ("n", 4))], **weights)
    assert found == GraphCost(2 * 12 * 4, 2 * 4 + 24 + 4 * 12)


@pytest.mark.parametrize("memories", [1, 2, 7])
def test_attention_in_whole_tiles_costs_what_it_cost_whole(tmp_path: Path, memories: int) -> None:
    """At 1,024 px there are 4,096 queries, of which sixteen are cut off and written out with FusedMatMul."""
    node = helper.make_node("MultiHeadAttention", ["q", "k", "v"], ["y"], "attend", domain="com.microsoft")
    node.attribute.extend([helper.make_attribute("num_heads", 1), helper.make_attribute("scale", 0.1)])
    keys = 4096 * memories + 64
    tensors = (TensorSpec("q", (1, 4096, 256)), TensorSpec("k", (1, keys, 256)), TensorSpec("v", (1, keys, 64)))
    stage = StageSpec("test", tensors, (TensorSpec("y", (1, 4096, 64)),))
    path = save(tmp_path / "whole.onnx", [node], stage)
    whole = graph_cost(path, stage, {})
    model = onnx.load(path)
    cut_into_tiles(model, {"q": (4096, 256), "y": (4096, 64)})
    assert len(model.graph.node) > 1
    onnx.save(model, tmp_path / "cut.onnx")
    cut = graph_cost(tmp_path / "cut.onnx", stage, {})
    assert (cut.flops, cut.uncounted) == (whole.flops, ())
    assert whole.flops == 2 * 4096 * keys * (256 + 64)


@pytest.mark.parametrize("memories", [1, 7])
def test_both_graphs_of_a_stage_cost_the_same(nano_bundle: Path, memories: int) -> None:
    """Memory attention grows with objects and memories; the fused graph and its plain twin do the same arithmetic."""
    bundle = Bundle.load(nano_bundle)
    spec = bundle.model.stage("memory_attention")

    def flops(artifact_format: str, objects: int, memories: int) -> int:
        path = bundle.path(bundle.artifact(spec.name, [artifact_format]))
        found = graph_cost(path, spec, {"objects": objects, "memories": memories, "pointers": 2})
        assert found.uncounted == ()
        return found.flops

    assert flops("onnx", 2, memories) == flops("onnx-ort", 2, memories)
    tokens, width, layers = 64, 128, 2
    one_memory = 2 * tokens * tokens * (width + 64) * layers  # scores and mix of the cross-attention
    keys = 2 * tokens * 64 * width * layers  # keys of the 64-channel memory
    assert flops("onnx", 1, memories + 1) - flops("onnx", 1, memories) == one_memory + keys


STAGES = ["image_encoder", "memory_attention", "mask_decoder", "memory_encoder", "mask_prompt_encoder"]


@pytest.mark.parametrize("name", STAGES)
def test_a_graph_costs_what_torch_counts_of_its_module(nano_bundle: Path, nano_checkpoint: Path, name: str) -> None:
    """torch counts the calls that the module makes; attention is made to run as its two products, which it can see."""
    export_stage = next(s for s in FAMILY.stages(FAMILY.load(str(nano_checkpoint), None)) if s.spec.name == name)
    feeds = export_stage.feeds(export_stage.cases[-1], seed=0)
    with FlopCounterMode(display=False) as counted, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        export_stage.module(**{name: torch.from_numpy(feed.copy()) for name, feed in feeds.items()})
    bundle = Bundle.load(nano_bundle)
    path = bundle.path(bundle.artifact(name, ["onnx"]))
    assert graph_cost(path, export_stage.spec, export_stage.spec.check(feeds)).flops == counted.get_total_flops()
