"""The operators of a stage: what ONNX Runtime's profiler says, compared with the graph that it ran."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import pytest
from command_line import Cli
from masklet.profiles.recording.operators import RUNS, WARMUP, summary
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import MaskletError

PROMPT = ("--point", "30,30", "--threads", 1, "--warmup", 1)


def event(node: str, operator: str, ms: float) -> dict[str, Any]:
    return {"cat": "Node", "name": f"{node}_kernel_time", "dur": ms * 1e3, "args": {"op_name": operator}}


def test_operators_are_medians_of_their_nodes_without_the_first_runs() -> None:
    events = [{"cat": "Session", "name": "model_run", "dur": 9, "args": {}}]
    for run in range(WARMUP + RUNS):
        slow = 100.0 if run < WARMUP else 1.0
        events += [event("conv_a", "Conv", 3 * slow), event("conv_b", "Conv", slow), event("add", "Add", slow)]
    operators, nodes = summary(events)
    assert [(one.name, one.nodes, one.ms) for one in operators] == [("Conv", 2, 4.0), ("Add", 1, 1.0)]
    assert [one.share for one in operators] == pytest.approx([0.8, 0.2])
    assert [one.name for one in nodes] == ["conv_a", "conv_b", "add"]
    assert [one.label for one in nodes] == ["conv_a (Conv)", "conv_b (Conv)", "add (Add)"]


def test_a_profile_without_operators_is_an_error() -> None:
    with pytest.raises(MaskletError, match="timed no operator"):
        summary([{"cat": "Session", "name": "model_run", "dur": 9, "args": {}}])


def test_every_attention_of_the_graph_is_timed(profile: Cli, nano_bundle: Path, clip: Path, tmp_path: Path) -> None:
    report, page = tmp_path / "p.json", tmp_path / "p.html"
    words = ("--operators", "memory_attention", "--json", report, "--html", page)
    code, out, err = profile(nano_bundle, clip, *PROMPT, *words)
    assert code == 0, err
    found = json.loads(report.read_text())["operators"]
    bundle = Bundle.load(nano_bundle)
    graph = onnx.load(
        str(bundle.path(bundle.artifact("memory_attention", ("onnx-ort", "onnx")))), load_external_data=False
    )
    wanted = Counter(node.op_type for node in graph.graph.node)
    timed = Counter({one["name"]: one["nodes"] for one in found["operators"]})
    for operator in ("MultiHeadAttention", "LayerNormalization", "RotaryEmbedding"):
        assert timed[operator] == wanted[operator] > 0
    assert sum(one["share"] for one in found["operators"]) == pytest.approx(1)
    assert found["sizes"]["objects"] == 1
    assert "Operators of memory_attention at objects=1" in out
    assert "Operators of memory_attention" in page.read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--operators", "image_decoder"), "the stages of this bundle are image_encoder, memory_attention,"),
        (("--operators", "memory_attention", "--backend", "openvino"), "leave out the other backend"),
    ],
)
def test_bad_input(profile: Cli, nano_bundle: Path, clip: Path, words: tuple[object, ...], message: str) -> None:
    code, _, err = profile(nano_bundle, clip, *PROMPT, *words)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
