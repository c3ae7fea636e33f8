"""ONNX Runtime's fused attention, cut so that its threads get equal shares.

Its CPU kernel (MlasFlashAttention) deals out tiles of queries, whose number of rows follows from the size of the L2
cache, and each thread takes as many. 4,096 queries of SAM 2's memory attention are 20 tiles and 16 rows: of two threads
one takes eleven tiles, the other nine and those rows. The rows apart, both take ten.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

L2_BYTES = 1 << 20  # of the CPUs of today; tiles of smaller powers of two divide the same rows
FEW = 8  # a rest is cut off where it is smaller than a tile by this factor; else it is worth its turn


def cut_into_tiles(fused: onnx.ModelProto, widths: Mapping[str, tuple[int, int]]) -> None:
    """Cut every attention of one head whose queries end in a rest of a tile into whole tiles and that rest, in place.

    widths: rows and channels of the tensors [batch, rows, channels] whose sizes do not depend on the input. With
            several heads there are so many more tiles that the rest of one does not count.
    """
    nodes = list(fused.graph.node)
    del fused.graph.node[:]
    for node in nodes:
        rest = _rest(node, widths) if node.op_type == "MultiHeadAttention" else 0
        fused.graph.node.extend(_cut(fused.graph, node, widths[node.input[0]][0] - rest, rest) if rest else [node])


def _rest(node: onnx.NodeProto, widths: Mapping[str, tuple[int, int]]) -> int:
    """Rows to cut off the queries of an attention: multihead_attention.cc computes the rows of a tile like this."""
    heads = next(a.i for a in node.attribute if a.name == "num_heads")
    if heads > 1 or node.input[0] not in widths or node.output[0] not in widths:
        return 0
    (queries, channels), (_, mixed) = widths[node.input[0]], widths[node.output[0]]
    tile = min(L2_BYTES // (4 * np.float32().itemsize * (channels + mixed)), channels + mixed)
    rest = queries % tile
    return rest if queries > tile and rest * FEW <= tile else 0


def _cut(graph: onnx.GraphProto, node: onnx.NodeProto, whole: int, rest: int) -> list[onnx.NodeProto]:
    name, query, mixed = node.name, node.input[0], node.output[0]
    sizes = f"{name}_rows"
    graph.initializer.append(numpy_helper.from_array(np.array([whole, rest], np.int64), sizes))
    parts = ((f"{name}_tiles_query", f"{name}_tiles"), (f"{name}_rest_query", f"{name}_rest"))
    attentions = []
    for given, made in parts:
        part = onnx.NodeProto()
        part.CopyFrom(node)
        part.name, part.input[0], part.output[0] = made, given, made
        attentions.append(part)
    split = helper.make_node("Split", [query, sizes], [given for given, _ in parts], f"{name}_cut", axis=1)
    join = helper.make_node("Concat", [made for _, made in parts], [mixed], f"{name}_joined", axis=1)
    return [split, *attentions, join]
