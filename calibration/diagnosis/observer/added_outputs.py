"""Tensors of a graph as further outputs of its stage."""

import onnx
from masklet.runtime.bundle.spec import StageSpec, TensorSpec
from onnx import TensorProto, helper


def as_fp32(graph: onnx.GraphProto, tensor: str, name: str) -> str:
    """Add a node that hands a tensor on in FP32 under a name."""
    graph.node.append(helper.make_node("Cast", [tensor], [name], to=TensorProto.FLOAT))
    return name


def widened(
    graph: onnx.GraphProto, stage: StageSpec, *, output: TensorSpec, input: TensorSpec | None = None
) -> StageSpec:
    """Declare a tensor that nodes make as an output, and maybe an input."""
    graph.output.append(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, list(output.shape)))
    if input is not None:
        graph.input.append(helper.make_tensor_value_info(input.name, TensorProto.INT64, list(input.shape)))
    inputs = stage.inputs if input is None else (*stage.inputs, input)
    return StageSpec(stage.name, inputs, (*stage.outputs, output))
