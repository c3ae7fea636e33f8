"""Parity: figures that mean something, thresholds left out of it, and failures that say where."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from checkpoints import nano_config
from masklet.export import parity
from masklet.export.families.sam2 import FAMILY, declare
from masklet.export.family import Case, ExportStage
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Parity
from masklet.runtime.errors import ExportError
from onnx import numpy_helper


@pytest.fixture(scope="module")
def model(nano_checkpoint: Path) -> Any:
    return FAMILY.load(str(nano_checkpoint), None)


def stage_of(model: Any, name: str) -> ExportStage:
    return next(stage for stage in FAMILY.stages(model) if stage.spec.name == name)


def test_every_output_of_every_graph_is_within_the_issue_s_tolerance(nano_bundle: Path) -> None:
    bundle = Bundle.load(nano_bundle)
    tolerance = {"mask_decoder": 1e-4}
    for figure in bundle.manifest.parity:
        assert figure.relative <= tolerance.get(figure.stage, 1e-5), figure
    wanted = {(s.name, o.name) for s in bundle.model.stages for o in s.outputs}
    assert {(f.stage, f.output) for f in bundle.manifest.parity if f.format == "onnx"} == wanted


def test_sizes_that_were_not_traced(nano_bundle: Path, model: Any) -> None:
    """A full memory, four objects, many points: through the runtime, against the checkpoint's own modules."""
    cases = {
        "memory_attention": Case("", {"objects": 4, "memories": 14, "pointers": 23}),
        "mask_decoder": Case(
            "",
            {"objects": 4, "points": 11},
            {"point_labels": [1, 0] * 5 + [-1], "has_mask": [0, 1, 0, 1], "multimask": [0, 0, 1, 1], "memoryless": 0},
        ),
        "mask_prompt_encoder": Case("", {"objects": 5}),
    }
    with Sessions.open(Bundle.load(nano_bundle), OnnxRuntime(threads=1)) as sessions:
        for name, case in cases.items():
            stage = stage_of(model, name)
            seed = next(s for s in range(99) if stage.decided(stage.reference(stage.feeds(case, s))))
            feeds = stage.feeds(case, seed)
            got, wanted = sessions.run(name, feeds), stage.reference(feeds)
            for output in wanted:
                assert np.allclose(got[output], wanted[output], rtol=1e-3, atol=1e-4), (name, output)


def test_a_wrong_weight_is_found_and_named(nano_bundle: Path, model: Any, tmp_path: Path) -> None:
    stage = stage_of(model, "mask_prompt_encoder")
    for file in ("mask_prompt_encoder.onnx", "mask_prompt_encoder.weights"):
        shutil.copy(nano_bundle / file, tmp_path)
    graph = onnx.load(str(tmp_path / "mask_prompt_encoder.onnx"), load_external_data=False)
    weight = next(t for t in graph.graph.initializer if list(t.dims) == [1, 1, 4, 4])
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.01), weight.name))
    (tmp_path / "mask_prompt_encoder.onnx").write_bytes(graph.SerializeToString())
    figures = parity.compare(stage, parity.reference_calls(stage), "onnx", tmp_path / "mask_prompt_encoder.onnx")
    with pytest.raises(ExportError, match=r"stage 'mask_prompt_encoder' \(onnx\), output 'mask_prompt': .* tolerance"):
        parity.require(figures)
    assert {f.output: f.relative > 1e-3 for f in figures} == {"mask_prompt": True, "low_res_mask": False}


def with_nan(model: onnx.ModelProto, value: str) -> None:
    """Make the largest number of a value NaN, for whoever reads it."""
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array(np.nan, np.float32), "nan"))
    for node in graph.node:
        node.output[:] = ["sound" if name == value else name for name in node.output]
        node.input[:] = ["sound" if name == value else name for name in node.input]
    graph.node.append(onnx.helper.make_node("ReduceMax", ["sound"], ["largest"], keepdims=0))
    graph.node.append(onnx.helper.make_node("Equal", ["sound", "largest"], ["is_largest"]))
    graph.node.append(onnx.helper.make_node("Where", ["is_largest", "nan", "sound"], [value]))


@pytest.mark.parametrize(
    ("name", "output"), [(stage.name, tensor.name) for stage in declare(nano_config()) for tensor in stage.outputs]
)
def test_not_a_number_in_any_output_of_any_stage_is_found(
    nano_bundle: Path, model: Any, tmp_path: Path, name: str, output: str
) -> None:
    stage = stage_of(model, name)
    graph = onnx.load(str(nano_bundle / f"{name}.onnx"))
    made = output
    if output in stage.rounded:  # it is compared before the casts to bfloat16 and back
        made = parity._before_rounding(graph, output)
        last = [node for node in graph.graph.node if made in node.input]
        with_nan(graph, made)
        for node in last:
            node.input[:] = [made if read == "sound" else read for read in node.input]
            graph.graph.node.remove(node)
            graph.graph.node.append(node)
    else:
        with_nan(graph, output)
    (tmp_path / "graph.onnx").write_bytes(graph.SerializeToString())
    figures = parity.compare(stage, parity.reference_calls(stage), "onnx", tmp_path / "graph.onnx")
    assert [f.output for f in figures if not np.isfinite(f.relative)] == [output]
    with pytest.raises(ExportError, match=f"output '{output}': the graph or the checkpoint gives NaN"):
        parity.require(figures)


def test_not_a_number_is_beyond_every_tolerance() -> None:
    with pytest.raises(ExportError):
        parity.require([Parity("s", "onnx", "y", float("nan"), 0.0)])


def test_feeds_that_rounding_alone_decides_are_drawn_again(model: Any) -> None:
    stage = stage_of(model, "mask_decoder")
    calls = parity.reference_calls(stage)
    assert len(calls) == 9
    assert all(stage.decided(call.wanted) for call in calls)
    tie = dict(calls[0].wanted)
    tie["candidate_ious"] = np.full_like(tie["candidate_ious"], 0.5)
    assert not stage.decided(tie)


def test_feeds_repeat(model: Any) -> None:
    stage = stage_of(model, "mask_decoder")
    first, second, other = (stage.feeds(stage.cases[0], seed) for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["image_embed"], other["image_embed"])


def test_bfloat16_rounds_as_torch_does() -> None:
    x = np.random.default_rng(0).standard_normal(100_000).astype(np.float32) * 1e3
    x[:4] = 0.0, -0.0, 1.00390625, 1.01171875  # ties, to the even neighbour
    assert np.array_equal(parity.to_bfloat16(x), torch.from_numpy(x).bfloat16().float().numpy())
