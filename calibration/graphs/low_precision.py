"""Makes the graphs of a stage at a lower precision; a choice says which parts stay higher."""

from collections.abc import Mapping
from typing import Any

import msgspec
import onnx
from masklet.calibration.graphs.attention_heads import widen_values
from masklet.calibration.graphs.fp16 import islands, overflowing, rounded, to_half
from masklet.calibration.graphs.int8 import quantise, store_constants_as_half, weighted_nodes
from masklet.calibration.graphs.onnxrt_form import fuse_linear_layers
from masklet.calibration.graphs.ranges import METHODS, Magnitudes
from masklet.calibration.graphs.stage_graph import PLAIN, copied, groups, load_graphs, tensor_types
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.precision import Precision

FUSED = "onnx-ort"
WHOLE = "whole"
WORTH_HALVING = 4096  # minimum number of elements of a constant to store it as FP16


class StagePrecision(msgspec.Struct, frozen=True):
    """The precision of a stage. kept: groups of its nodes, such as `blocks.3`, that stay at the higher precision."""

    precision: Precision
    kept: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.precision + (f" but for {', '.join(self.kept)}" if self.kept else "")


FULL = StagePrecision(Precision.FP32)
StagePrecisions = Mapping[str, StagePrecision]  # by stage


class Lowered(msgspec.Struct, frozen=True):
    """A stage at a lower precision.

    models:       its graphs by format.
    measured:     the graph that its accuracy is measured on, if that is not one of `models`.
    fp32_tensors: tensors that stay FP32 because they come near the largest FP16 number, with their magnitude.
    """

    models: dict[str, Any]
    measured: Any
    fp32_tensors: dict[str, float]


def lower(bundle: Bundle, stage: str, choice: StagePrecision, seen: Mapping[str, Magnitudes], method: str) -> Lowered:
    """Make the graphs of a stage at a precision. seen: magnitudes of its tensors. method: for INT8, of METHODS."""
    models = load_graphs(bundle, stage)
    plain = models[PLAIN]
    group = groups(plain.graph)
    kept = {name for name, part in group.items() if part in choice.kept}
    half = choice.precision.fp16_tensors
    if choice.precision.int8_layers:
        layers = [node for node in weighted_nodes(plain.graph) if node.name not in kept]
        limits = {name: METHODS[method](seen[name]) for name in {node.input[0] for node in layers}}
        for model in models.values():
            quantise(model, {node.name for node in layers}, limits, half_scales=half)
        kept = set()
    if choice.precision is Precision.BF16:
        return Lowered(models, None, {})
    if not half:
        return Lowered(_for_onnx_runtime(models), None, {})
    widen_values(plain)
    near = overflowing({name: magnitudes.largest for name, magnitudes in seen.items()})
    types, stay = tensor_types(plain), islands(plain, near, kept)
    halves = {format: to_half(model, types, stay) for format, model in models.items()}
    twin = copied(plain)
    rounded(twin, halves[PLAIN])
    return Lowered(models, twin, near)


def lowest_groups(bundle: Bundle, stage: str, precision: Precision) -> list[str]:
    """The groups of nodes of a stage that a precision affects, in graph order; empty if there are none.

    For INT8 these are the groups with at least one quantised layer. In bfloat16 a stage is computed whole or not at
    all, and only where it has layers.
    """
    graph = load_graphs(bundle, stage)[PLAIN].graph
    if precision is Precision.BF16:
        return [WHOLE] if weighted_nodes(graph) else []
    group = groups(graph)
    nodes = weighted_nodes(graph) if precision.int8_layers else graph.node
    return list(dict.fromkeys(group[node.name] for node in nodes))


def _for_onnx_runtime(models: dict[str, onnx.ModelProto]) -> dict[str, onnx.ModelProto]:
    """INT8 graphs for ONNX Runtime's CPU provider, from the graph with its fused operators if the stage has one."""
    fused = models.get(FUSED) or copied(models[PLAIN])
    fuse_linear_layers(fused)
    both = {PLAIN: models[PLAIN], FUSED: fused}
    for model in both.values():
        store_constants_as_half(model.graph, WORTH_HALVING)
    return both
