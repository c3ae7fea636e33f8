"""INT8 and FP16 graphs: where Q/DQ stand, that both forms compute the same, and that engines can be built."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from built_engines import build_for_rtx, layers_with, products
from calibration_scenes import Scene
from masklet.calibration.clips.clips import Clip
from masklet.calibration.graphs.fp16 import LARGEST, islands, overflowing, rounded, to_half
from masklet.calibration.graphs.int8 import LEVELS, quantised_weight, weighted_nodes
from masklet.calibration.graphs.low_precision import Lowered, StagePrecision, lower, lowest_groups
from masklet.calibration.graphs.stage_graph import initializers, load_graphs, write_graphs
from masklet.calibration.recording.record import Recording, record
from masklet.export.engines.layers import operand_types
from masklet.profiles.model.graph_cost import graph_cost
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.session import Feeds
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.bundle.writer import write_bundle
from masklet.runtime.prompts.syntax import parse_prompts
from onnx import TensorProto, helper, numpy_helper

LOWERED = ("image_encoder", "memory_attention", "mask_decoder", "memory_encoder")
PRECISIONS = (Precision.INT8, Precision.FP16, Precision.INT8_FP16)


@pytest.fixture(scope="module")
def bundle(trained_bundle: Path) -> Bundle:
    return Bundle.load(trained_bundle)


@pytest.fixture(scope="module")
def recording(bundle: Bundle, scenes: list[Scene], tmp_path_factory: pytest.TempPathFactory) -> Recording:
    prompts = parse_prompts(points=scenes[0].points, negatives=(), boxes=(), masks=())
    clip = Clip(str(scenes[0].frames), prompts, {})
    folder = tmp_path_factory.mktemp("recording")
    return record(bundle, [clip], folder, seed=0, threads=1, progress=lambda *_: None)


@pytest.fixture(scope="module")
def lowered(bundle: Bundle, recording: Recording) -> dict[tuple[str, str], Lowered]:
    return {
        (stage, precision): lower(bundle, stage, StagePrecision(precision), recording.statistics[stage], "percentile")
        for stage in LOWERED
        for precision in PRECISIONS
    }


def runs(found: Lowered, spec: StageSpec, feeds: Feeds, folder: Path) -> dict[str, dict[str, Tensor]]:
    files = write_graphs(spec.name, found.models, folder)
    return {format: run_graph(folder / names[0], spec, feeds) for format, names in files.items()}


def run_graph(path: Path, spec: StageSpec, feeds: Feeds) -> dict[str, Tensor]:
    names = [tensor.name for tensor in spec.outputs]
    return dict(zip(names, ort.InferenceSession(path).run(names, dict(feeds)), strict=True))


def error(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> float:
    return max(float(np.linalg.norm(found[k] - wanted[k]) / np.linalg.norm(wanted[k])) for k in wanted)


@pytest.mark.parametrize("stage", LOWERED)
@pytest.mark.parametrize("precision", [Precision.INT8, Precision.INT8_FP16])
def test_q_and_dq_stand_where_engines_fuse_them(
    lowered: dict[tuple[str, str], Lowered], stage: str, precision: Precision
) -> None:
    graph = lowered[stage, precision].models["onnx"].graph
    made_by = {name: node for node in graph.node for name in node.output}
    constants = initializers(graph)

    def maker(name: str) -> str:
        return str(made_by[name].op_type) if name in made_by else ""

    quantised = [n for n in graph.node if len(n.input) > 1 and maker(n.input[1]) == "DequantizeLinear"]
    assert quantised
    for node in quantised:
        assert node.op_type in ("Conv", "MatMul")
        activation, weight = (made_by[name] for name in node.input[:2])
        assert activation.op_type == "DequantizeLinear"
        q = made_by[activation.input[0]]
        assert q.op_type == "QuantizeLinear"
        assert maker(q.input[0]) not in ("Conv", "MatMul")
        assert constants[weight.input[0]].data_type == TensorProto.INT8
        assert len(constants[weight.input[1]].dims) == 1  # a scale a channel
        assert constants[q.input[1]].dims == []
        for name in node.input[2:]:
            assert name not in made_by  # the bias is as it was
    wanted = TensorProto.FLOAT16 if precision.endswith("fp16") else TensorProto.FLOAT
    scales = {made_by[n.input[1]].input[1] for n in quantised}
    assert {constants[name].data_type for name in scales} == {wanted}


@pytest.mark.parametrize("axis", [0, 1])
def test_weights_are_rounded_a_channel_at_a_time(axis: int) -> None:
    weight = np.random.default_rng(0).normal(0, 1, (24, 32)).astype(np.float32)
    levels, scale = quantised_weight(weight, axis, np.float32)
    moved = np.moveaxis(weight, axis, 0)
    for channel, values in enumerate(moved):
        step = np.abs(values).max() / LEVELS
        assert scale[channel] == pytest.approx(step)
        got = np.moveaxis(levels, axis, 0)[channel]
        assert np.abs(got * step - values).max() <= step / 2 * 1.001


@pytest.mark.parametrize("stage", LOWERED)
def test_int8_in_both_forms_is_near_fp32_and_the_same(
    bundle: Bundle, recording: Recording, lowered: dict[tuple[str, str], Lowered], stage: str, tmp_path: Path
) -> None:
    spec = bundle.model.stage(stage)
    feeds = next(recording.feeds(stage, 1))
    found = runs(lowered[stage, "int8"], spec, feeds, tmp_path)
    wanted = OnnxRuntime(1).open(bundle, spec).run(feeds)
    assert set(found) == {"onnx", "onnx-ort"}
    assert 1e-4 < error(found["onnx-ort"], wanted) < 0.1
    # a sum in another order may put a number on the next level, and that on its way through the stage
    assert error(found["onnx-ort"], found["onnx"]) < 0.5 * error(found["onnx-ort"], wanted)


@pytest.mark.parametrize("stage", LOWERED)
def test_fp16_is_near_fp32_and_its_twin_rounds_like_numpy(
    bundle: Bundle, recording: Recording, lowered: dict[tuple[str, str], Lowered], stage: str, tmp_path: Path
) -> None:
    spec = bundle.model.stage(stage)
    feeds = next(recording.feeds(stage, 1))
    found = lowered[stage, "fp16"]
    wanted = OnnxRuntime(1).open(bundle, spec).run(feeds)
    assert all(error(each, wanted) < 5e-3 for each in runs(found, spec, feeds, tmp_path).values())
    onnx.save(found.measured, tmp_path / "twin.onnx")
    twin = run_graph(tmp_path / "twin.onnx", spec, feeds)
    assert error(twin, wanted) < 1e-2


def test_no_name_is_made_twice(lowered: dict[tuple[str, str], Lowered]) -> None:
    for found in lowered.values():
        for model in (*found.models.values(), *([found.measured] if found.measured else [])):
            names = [name for node in model.graph.node for name in node.output]
            names += [tensor.name for tensor in (*model.graph.initializer, *model.graph.input)]
            assert len(names) == len(set(names))


def test_every_projection_of_an_attention_is_a_layer(bundle: Bundle) -> None:
    """Those without a bias, too, of keys and values."""
    layers = {node.input[1] for node in weighted_nodes(load_graphs(bundle, "image_encoder")["onnx"].graph)}
    blocks = {group for group in lowest_groups(bundle, "image_encoder", Precision.INT8) if group.startswith("blocks.")}
    assert len(blocks) == 6
    for block in blocks:
        assert {f"{block}.{name}.weight_transposed" for name in ("query", "key", "value", "out")} <= layers


def test_the_same_input_gives_the_same_bytes(bundle: Bundle, recording: Recording, tmp_path: Path) -> None:
    written = []
    for turn in ("a", "b"):
        folder = tmp_path / turn
        folder.mkdir()
        for precision in PRECISIONS:
            (folder / precision).mkdir()
            seen = recording.statistics["memory_attention"]
            found = lower(bundle, "memory_attention", StagePrecision(precision), seen, "entropy")
            write_graphs("memory_attention", found.models, folder / precision)
        written.append([path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()])
    assert written[0] == written[1]


def test_kept_groups_stay(bundle: Bundle, recording: Recording) -> None:
    groups = lowest_groups(bundle, "image_encoder", Precision.INT8)
    assert "blocks.0" in groups
    whole, part = (
        lower(
            bundle, "image_encoder", StagePrecision(Precision.INT8, kept), recording.statistics["image_encoder"], "max"
        )
        for kept in ((), ("blocks.0", "blocks.5"))
    )
    counts = [sum(n.op_type == "QuantizeLinear" for n in each.models["onnx"].graph.node) for each in (whole, part)]
    assert counts[1] < counts[0]
    full = load_graphs(bundle, "image_encoder")["onnx"].graph
    assert len(weighted_nodes(full)) > len(groups)


def toy(nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "toy", [value("x", TensorProto.FLOAT, [2])], [value("y", TensorProto.FLOAT, [2])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)])
    model.ir_version = 10
    return model


def test_overflow_that_the_cpu_hides_shows_on_the_twin_and_is_guarded() -> None:
    def nodes() -> list[onnx.NodeProto]:
        square = helper.make_node("Mul", ["x", "x"], ["square"], "square")
        return [square, helper.make_node("Div", ["square", "x"], ["y"], "y")]

    types = dict.fromkeys(("x", "square", "y"), int(TensorProto.FLOAT))
    feed = {"x": np.array([300, 1.0001], np.float32)}

    def result(stay: set[str], twin: bool) -> Tensor:
        model = toy(nodes())
        halves = to_half(model, types, stay)
        if twin:
            rounded(model, halves)
        return np.asarray(ort.InferenceSession(model.SerializeToString()).run(None, feed)[0])

    assert result(set(), twin=False)[0] == 300
    x = feed["x"].astype(np.float16)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(result(set(), twin=True), (x * x / x).astype(np.float32))
    near = overflowing({"x": 300.0, "square": 90000.0, "y": 300.0})
    assert near == {"square": 90000.0}
    stay = islands(toy(nodes()), near)
    assert stay == {"square", "y"}
    assert np.isfinite(result(stay, twin=True)).all()


def test_constants_beyond_fp16_stay_fp32() -> None:
    model = toy([helper.make_node("Max", ["x", "least"], ["y"], "floor")])
    model.graph.initializer.append(numpy_helper.from_array(np.array([-2 * LARGEST], np.float32), "least"))
    assert islands(model, ()) == {"floor"}


def test_positions_stay_fp32_as_far_back_as_they_are_positions() -> None:
    ones = numpy_helper.from_array(np.ones(2, np.float32), "ones")
    model = toy(
        [
            helper.make_node("Mul", ["x", "x"], ["feature"], "feature"),
            helper.make_node("LayerNormalization", ["feature", "ones"], ["normed"], "norm"),
            helper.make_node("Sigmoid", ["normed"], ["place"], "place"),
            helper.make_node("Mul", ["place", "ones"], ["angle"], "angle"),
            helper.make_node("Sin", ["angle"], ["encoded"], "encode"),
            helper.make_node("Relu", ["encoded"], ["y"], "after"),
        ]
    )
    model.graph.initializer.append(ones)
    assert islands(model, ()) == {"place", "angle", "encode"}


@pytest.mark.parametrize("precision", [Precision.INT8_FP16, Precision.FP16])
def test_engines_have_the_precision_of_their_graphs(
    bundle: Bundle, lowered: dict[tuple[str, str], Lowered], precision: Precision, tmp_path: Path
) -> None:
    """Node by node: a product that was quantised is computed in INT8, any other in FP16."""
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX is not installed")
    root = tmp_path / f"{precision}.bundle"
    with write_bundle(root) as writer:
        for stage in bundle.model.stages:
            if stage.name in LOWERED:
                files = write_graphs(stage.name, lowered[stage.name, precision].models, writer.root)["onnx"]
                writer.add(stage.name, "onnx", precision, files)
                continue
            files = tuple(file.path for file in bundle.artifact(stage.name, ("onnx",)).files)
            for name in files:
                shutil.copyfile(bundle.root / name, writer.root / name)
            writer.add(stage.name, "onnx", Precision.FP32, files)
        writer.seal(bundle.model, bundle.manifest.checkpoint)
    layers = build_for_rtx(root)
    counted = Counter[str]()
    for stage_name in LOWERED:
        graph = onnx.load(root / f"{stage_name}.onnx", load_external_data=False).graph
        made_by = {name: node.op_type for node in graph.node for name in node.output}
        for node in products(root / f"{stage_name}.onnx"):
            wanted = "Int8" if made_by.get(node.input[1]) == "DequantizeLinear" else "Half"
            kinds = set[str]().union(*map(operand_types, layers_with(node.name, layers[stage_name])))
            assert wanted in kinds, (stage_name, node.name, kinds)
            counted[wanted] += 1
    assert counted["Half"] > 10
    assert (counted["Int8"] > 60) == precision.startswith("int8")


@pytest.mark.parametrize("stage", LOWERED)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_form_is_counted_whole(
    bundle: Bundle, lowered: dict[tuple[str, str], Lowered], tmp_path: Path, stage: str, precision: Precision
) -> None:
    """A lower form does the arithmetic of FP32's, whose count is torch's; FP16's for TensorRT has wider values."""
    spec = bundle.model.stage(stage)
    full = bundle.path(bundle.artifact(stage, ["onnx"]))
    for objects, memories in ((1, 1), (1, 7), (3, 2)):
        sizes = {symbol: {"objects": objects, "memories": memories}.get(symbol, 2) for symbol in spec.symbols()}
        plain, wider = graph_cost(full, spec, sizes).flops, 0
        if stage == "memory_attention" and precision.fp16_tensors:
            cells, width, narrow, pointers = 64, 128, 64, 2
            keys = cells * memories + pointers * width // narrow
            wider = 2 * 2 * objects * cells * keys * (width - narrow)  # two layers
        for form, names in write_graphs(stage, lowered[stage, precision].models, tmp_path).items():
            found = graph_cost(tmp_path / names[0], spec, sizes)
            assert (found.flops, found.uncounted) == (plain + (wider if form == "onnx" else 0), ()), form
