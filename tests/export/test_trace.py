"""Tracing: what is in a graph and what is not, the plain twin, and the same bytes every time."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from masklet.export.families.sam2 import FAMILY
from masklet.export.family import Case, ExportStage
from masklet.export.graphs import trace
from masklet.export.graphs.standard_operators import plain
from masklet.export.graphs.whole_tiles import cut_into_tiles
from masklet.export.modules.layers import HalfSplitRotary, attend
from masklet.runtime.bundle.spec import StageSpec, TensorSpec
from masklet.runtime.errors import ExportError
from onnx import TensorProto, helper, numpy_helper


def graphs(bundle: Path) -> list[Path]:
    return sorted(bundle.glob("*.onnx"))


def test_graphs_hold_what_is_declared_and_nothing_of_how_they_were_made(nano_bundle: Path) -> None:
    assert len(graphs(nano_bundle)) == 7
    for path in graphs(nano_bundle):
        model = onnx.load(str(path))
        onnx.checker.check_model(str(path))
        assert {o.domain: o.version for o in model.opset_import if not o.domain} == {"": 19}
        assert not model.metadata_props
        assert not model.doc_string
        assert not any(n.metadata_props or n.doc_string for n in model.graph.node)
        assert len({n.name for n in model.graph.node}) == len(model.graph.node)
        assert b"/" not in b"".join(n.name.encode() for n in model.graph.node)


def test_plain_graphs_have_standard_operators_without_control_flow_only(nano_bundle: Path) -> None:
    fused = [p for p in graphs(nano_bundle) if p.name.endswith(".ort.onnx")]
    assert [p.name for p in fused] == ["image_encoder.ort.onnx", "memory_attention.ort.onnx"]
    for path in set(graphs(nano_bundle)) - set(fused):
        nodes = onnx.load(str(path), load_external_data=False).graph.node
        assert {n.domain for n in nodes} == {""}
        assert not {"If", "Loop", "NonZero", "ScatterND", "OneHot", "Identity"} & {n.op_type for n in nodes}


def test_twins_read_the_same_weights(nano_bundle: Path) -> None:
    for name in ("image_encoder", "memory_attention"):
        places = []
        for path in (nano_bundle / f"{name}.onnx", nano_bundle / f"{name}.ort.onnx"):
            initializers = onnx.load(str(path), load_external_data=False).graph.initializer
            outside = {t.name: t for t in initializers if t.data_location == TensorProto.EXTERNAL}
            places.append({n: {e.key: e.value for e in t.external_data} for n, t in outside.items()})
        assert places[0] == places[1]
        assert {p["location"] for p in places[0].values()} == {f"{name}.weights"}


def test_the_same_checkpoint_gives_the_same_bytes(nano_checkpoint: Path, nano_bundle: Path, tmp_path: Path) -> None:
    model = FAMILY.load(str(nano_checkpoint), None)
    for stage in FAMILY.stages(model):
        if stage.spec.name in ("memory_attention", "memory_encoder"):
            for files in trace.trace(stage).write(tmp_path).values():
                for file in files:
                    assert digest(tmp_path / file) == digest(nano_bundle / file), file


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(("heads", "width", "value_width"), [(1, 16, 16), (2, 16, 8), (4, 32, 64)])
def test_fused_attention_written_out(heads: int, width: int, value_width: int, tmp_path: Path) -> None:
    """Both forms against torch, with values of another width than the queries."""
    shapes = {"q": [2, 5, width], "k": [2, 7, width], "v": [2, 7, value_width]}
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()]
    output = helper.make_tensor_value_info("o", TensorProto.FLOAT, [2, 5, value_width])
    node = helper.make_node(
        "MultiHeadAttention", ["q", "k", "v"], ["o"], "attention", domain="com.microsoft", num_heads=heads, scale=0.3
    )
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid("com.microsoft", 1)]
    fused = helper.make_model(helper.make_graph([node], "g", inputs, [output]), opset_imports=opsets, ir_version=10)
    rng = np.random.default_rng(0)
    feeds = {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
    query, key, value = (torch.from_numpy(f) for f in feeds.values())
    wanted = attend(query, key, value, heads, 0.3).numpy()
    for model in (fused, plain(fused)):
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        assert np.allclose(session.run(None, feeds)[0], wanted, atol=1e-5)
    assert {n.domain for n in plain(fused).graph.node} == {""}


@pytest.mark.parametrize(
    ("queries", "heads", "parts"),
    [(4096, 1, [4080, 16]), (420, 1, [408, 12]), (408, 1, None), (600, 1, None), (200, 1, None), (420, 2, None)],
    ids=["SAM 2", "a small rest", "no rest", "a large rest", "less than a tile", "many tiles"],
)
def test_attention_is_cut_into_whole_tiles(queries: int, heads: int, parts: list[int] | None) -> None:
    """A tile of 256 + 64 channels has 204 rows: 1 MB / (4 floats of 4 bytes * 320). Cut or not, the same numbers."""
    shapes = {"q": (None, queries, 256), "k": (None, 9, 256), "v": (None, 9, 64)}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    output = helper.make_tensor_value_info("o", TensorProto.FLOAT, (None, queries, 64))
    node = helper.make_node(
        "MultiHeadAttention", ["q", "k", "v"], ["o"], "attention", domain="com.microsoft", num_heads=heads, scale=0.3
    )
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid("com.microsoft", 1)]
    whole = helper.make_model(helper.make_graph([node], "g", inputs, [output]), opset_imports=opsets, ir_version=10)
    cut = onnx.ModelProto()
    cut.CopyFrom(whole)
    cut_into_tiles(cut, {"q": (queries, 256), "o": (queries, 64)})
    rng = np.random.default_rng(0)
    feeds = {name: rng.standard_normal((2, *shape[1:]), dtype=np.float32) for name, shape in shapes.items()}
    one, other = (
        ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feeds)[0]
        for model in (whole, cut)
    )
    assert np.allclose(one, other, atol=1e-6)
    rows = [t for t in cut.graph.initializer if t.name == "attention_rows"]
    assert [numpy_helper.to_array(t).tolist() for t in rows] == ([parts] if parts else [])


@pytest.mark.parametrize("heads", [1, 2])
def test_fused_rotation_written_out(heads: int) -> None:
    """Both forms against complex numbers: real parts are the first half of a head, imaginary parts the other."""
    rng = np.random.default_rng(0)
    x, angle = rng.standard_normal((3, 5, heads * 8), dtype=np.float32), rng.standard_normal((5, 4)).astype(np.float32)
    cos, sin = (torch.from_numpy(table.repeat(2, axis=1)) for table in (np.cos(angle), np.sin(angle)))
    rotary = HalfSplitRotary(cos, sin, heads)
    by_head = x.reshape(3, 5, heads, 2, 4)
    turned = (by_head[..., 0, :] + 1j * by_head[..., 1, :]) * np.exp(1j * angle)[:, None]
    wanted = np.stack([turned.real, turned.imag], axis=-2).reshape(x.shape)
    tensor = TensorSpec("x", ("batch", 5, heads * 8))
    spec = StageSpec("rotary", inputs=(tensor,), outputs=(TensorSpec("y", tensor.shape),))
    graphs = trace.trace(ExportStage(spec, rotary, lambda feeds: dict(feeds), cases=(Case("", {"batch": 2}),)))
    assert graphs.fused is not None
    assert [n.op_type for n in graphs.fused.graph.node] == ["RotaryEmbedding"]
    assert {n.domain for n in graphs.plain.graph.node} == {""}
    for model in (graphs.fused, graphs.plain):
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        assert np.allclose(session.run(None, {"x": x})[0], wanted, atol=1e-5)
    assert np.allclose(rotary(torch.from_numpy(x)).numpy(), wanted, atol=1e-5)


class NonZero(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[torch.nonzero(x[:, 0] > 0)[:, 0]].sum(dim=0)


class Unnamed(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x + 1, x + 2


@pytest.mark.parametrize(
    ("module", "message"), [(NonZero(), "NonZero"), (Unnamed(), "stage 'odd'")], ids=["data-dependent", "undeclared"]
)
def test_what_cannot_be_built_later_is_refused_now(module: torch.nn.Module, message: str) -> None:
    spec = StageSpec("odd", inputs=(TensorSpec("x", ("rows", 4)),), outputs=(TensorSpec("y", (4,)),))
    stage = ExportStage(spec, module, lambda feeds: dict(feeds), cases=(Case("", {"rows": 3}),))
    with pytest.raises(ExportError, match=message):
        trace.trace(stage)
