"""Splits ONNX Runtime's fused attention so that all threads get equal work.

Its CPU kernel (MlasFlashAttention) distributes tiles of query rows; the rows per tile follow from the size of the L2
cache. The 4,096 queries of SAM 2's memory attention are 20 tiles and 16 rows: with two threads one computes eleven
tiles, the other nine and the 16 rows. With these rows separated, both compute ten tiles. The rows are computed with
standard operators, since the kernel would give them to one thread and pack all keys for them.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from masklet.export.graphs.standard_operators import CONTRIB, attribute
from onnx import helper, numpy_helper

L2_BYTES = 1 << 20  # of current CPUs; tiles for smaller powers of two divide the same rows
FEW = 8  # the remaining rows are separated if they are fewer than a tile by this factor


def cut_into_tiles(fused: onnx.ModelProto, widths: Mapping[str, tuple[int, int]]) -> None:
    """Split every single-head attention whose queries do not fill a whole number of tiles, in place.

    The result has one attention for the whole tiles and one for the remaining rows. With several heads there are so
    many tiles that the remainder does not matter.
    widths: rows and channels of the tensors [batch, rows, channels] whose sizes do not depend on the input.
    """
    nodes = list(fused.graph.node)
    del fused.graph.node[:]
    for node in nodes:
        rest = _rest(node, widths) if node.op_type == "MultiHeadAttention" else 0
        fused.graph.node.extend(_cut(fused.graph, node, widths[node.input[0]][0] - rest, rest) if rest else [node])


def _rest(node: onnx.NodeProto, widths: Mapping[str, tuple[int, int]]) -> int:
    """Number of remaining rows in the queries of an attention; rows per tile as in multihead_attention.cc."""
    if attribute(node, "num_heads") > 1 or node.input[0] not in widths or node.output[0] not in widths:
        return 0
    (queries, channels), (_, mixed) = widths[node.input[0]], widths[node.output[0]]
    tile = min(L2_BYTES // (4 * np.float32().itemsize * (channels + mixed)), channels + mixed)
    rest = queries % tile
    return rest if queries > tile and rest * FEW <= tile else 0


def _cut(graph: onnx.GraphProto, node: onnx.NodeProto, whole: int, rest: int) -> list[onnx.NodeProto]:
    """The attention of the whole tiles and of the remaining rows, concatenated."""
    name, (query, key, value), mixed = node.name, node.input[:3], node.output[0]
    sizes, rows, scores, weights = (f"{name}_{part}" for part in ("rows", "rest_query", "rest_scores", "rest_weights"))
    graph.initializer.append(numpy_helper.from_array(np.array([whole, rest], np.int64), sizes))
    tiles = onnx.NodeProto()
    tiles.CopyFrom(node)
    tiles.name, tiles.input[0], tiles.output[0] = f"{name}_tiles", f"{name}_tiles_query", f"{name}_tiles"
    product = {"domain": CONTRIB, "transB": 1, "alpha": attribute(node, "scale")}
    return [
        helper.make_node("Split", [query, sizes], [tiles.input[0], rows], f"{name}_cut", axis=1),
        tiles,
        helper.make_node("FusedMatMul", [rows, key], [scores], scores, **product),
        helper.make_node("Softmax", [scores], [weights], weights, axis=-1),
        helper.make_node("MatMul", [weights, value], [f"{name}_rest"], f"{name}_rest"),
        helper.make_node("Concat", [tiles.output[0], f"{name}_rest"], [mixed], f"{name}_joined", axis=1),
    ]
