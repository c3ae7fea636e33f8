"""A graph that computes in FP32 and rounds as a machine does that computes in bfloat16.

Where a backend computes in bfloat16, products take rounded values and weights, sum in FP32, and what lies between nodes
is stored rounded. Positions and rounding that is in the graph anyway stay exact, as for FP16 (see `fp16.islands`), and
so does what comes out of INT8 layers' weights and scales.
"""

import ml_dtypes
import numpy as np
import onnx
from masklet.calibration.graphs.fp16 import islands
from masklet.calibration.graphs.stage_graph import replace_nodes, tensor_types
from onnx import TensorProto, helper, numpy_helper

EXACT = frozenset({"QuantizeLinear", "DequantizeLinear", "Cast"})
PRODUCTS = frozenset({"MatMul", "Gemm", "Conv", "ConvTranspose"})


def round_to_bfloat16(model: onnx.ModelProto) -> None:
    """Round weights and every tensor between nodes, in place. model: a graph with standard operators."""
    graph, types = model.graph, tensor_types(model)
    exact = islands(model, ())
    weights = {name for node in graph.node if node.op_type in PRODUCTS for name in node.input[:2]}
    for tensor in graph.initializer:
        if tensor.name in weights and tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).astype(ml_dtypes.bfloat16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    nodes = []
    for node in graph.node:
        stays = node.name in exact or node.op_type in EXACT
        made = [] if stays else [name for name in node.output if types.get(name) == TensorProto.FLOAT]
        node.output[:] = [f"{name}_exact" if name in made else name for name in node.output]
        nodes.append(node)
        for name in made:
            there, back = f"{name}_bf16", f"{name}_round"
            nodes.append(helper.make_node("Cast", [f"{name}_exact"], [there], back, to=TensorProto.BFLOAT16))
            nodes.append(helper.make_node("Cast", [there], [name], f"{name}_back", to=TensorProto.FLOAT))
    replace_nodes(graph, nodes)
