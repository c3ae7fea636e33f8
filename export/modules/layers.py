"""Building blocks that stages of several families share, each written for what inference engines do well."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, scale: float) -> Tensor:
    """Attention over whole sequences, softmax(query key^T scale) value for each head.

    query: [batch, queries, heads * d]; key: [batch, keys, heads * d]; value: [batch, keys, heads * dv].
    Returns [batch, queries, heads * dv]. While a graph is traced this is one com.microsoft.MultiHeadAttention,
    which ONNX Runtime runs without storing the scores; trace.plain() writes it out for other engines.
    """
    if torch.onnx.is_in_onnx_export():
        shape = (query.shape[0], query.shape[1], value.shape[2])
        fused: Tensor = torch.onnx.ops.symbolic(
            "com.microsoft::MultiHeadAttention",
            [query, key, value],
            {"num_heads": heads, "scale": scale},
            dtype=query.dtype,
            shape=shape,
            version=1,
        )
        return fused
    q, k, v = (torch.unflatten(x, -1, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    return F.scaled_dot_product_attention(q, k, v, scale=scale).transpose(1, 2).flatten(2)


def attend_written_out(
    query: Tensor, key: Tensor, value: Tensor, heads: int, scale: float, bias: Tensor | None = None
) -> Tensor:
    """Attention in standard operators: for few queries or few keys, where storing the scores costs nothing.

    query: [batch, queries, heads * d]; key, value: [batch or 1, keys, heads * d].
    bias:  added to the scores; broadcasts to [batch, heads, queries, keys].
    Returns [batch, queries, heads * d].
    """
    q, k, v = (torch.unflatten(x, -1, (heads, -1)).transpose(1, 2) for x in (query * scale, key, value))
    scores = torch.matmul(q, k.transpose(2, 3))
    weights = torch.softmax(scores if bias is None else scores + bias, dim=-1)
    return torch.matmul(weights, v).transpose(1, 2).flatten(2)


def padding_bias(valid: Tensor) -> Tensor:
    """What keeps attention off padding: valid [batch, keys], 1 or 0, as a bias [batch, 1, 1, keys].

    -1e4 and not minus infinity: it has the same effect, and FP16 can hold it.
    """
    return ((valid - 1) * 1e4)[:, None, None]


class Attention(nn.Module):
    """Attention with its projections, of transformers' modules that name them q_proj, k_proj, v_proj and o_proj."""

    def __init__(self, attention: Any) -> None:
        """attention: Sam3Attention or its like; that of text encoders calls the last one out_proj."""
        super().__init__()
        out = attention.o_proj if hasattr(attention, "o_proj") else attention.out_proj
        self.query, self.key = attention.q_proj, without_bias(attention.k_proj)
        self.value, self.out = without_bias(attention.v_proj), with_value_bias(out, attention.v_proj.bias)
        self.heads = int(getattr(attention, "num_attention_heads", None) or attention.num_heads)
        self.scale = float(self.query.out_features // self.heads) ** -0.5

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Over whole sequences of one batch size, [batch, tokens, C]. Returns the shape of query."""
        projected = self.query(query), self.key(key), self.value(value)
        mixed: Tensor = self.out(attend(*projected, self.heads, self.scale))
        return mixed

    def biased(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        """With a bias, or with keys that all of a batch share; see `attend_written_out`."""
        projected = self.query(query), self.key(key), self.value(value)
        mixed: Tensor = self.out(attend_written_out(*projected, self.heads, self.scale, bias))
        return mixed


class Table(nn.Module):
    """A table [cells, C] that a graph holds."""

    cells: Tensor

    def __init__(self, cells: Tensor) -> None:
        super().__init__()
        self.register_buffer("cells", cells)

    def forward(self) -> Tensor:
        return self.cells


class AxialTable(nn.Module):
    """A table over a map whose channels each depend on the row or on the column alone, held as one row and one column.

    So a frame size costs a bundle kilobytes and not megabytes. Engines add the two when they open the graph; each has
    zeros in the other's channels, so that the sum is exact.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, cells: Tensor, hw: tuple[int, int]) -> None:
        """cells: [height * width, C], row by row. hw: of the map. Raises ValueError where it is no such table."""
        super().__init__()
        table = cells.reshape(*hw, -1)
        by_row = (table == table[:, :1]).all(dim=1).all(dim=0)
        self.register_buffer("rows", torch.where(by_row, table[:, :1], 0))
        self.register_buffer("columns", torch.where(by_row, 0, table[:1]))
        if not torch.equal(self(), cells):
            raise ValueError(f"a table [{len(cells)}, {cells.shape[-1]}] that is not axial on a map of {hw}")

    def forward(self) -> Tensor:
        """Returns [height * width, C]."""
        return (self.rows + self.columns).flatten(0, 1)


class HalfSplitRotary(nn.Module):
    """Axial rotary position encoding with the two members of a pair half a head apart.

    The references rotate neighbouring channels (2i, 2i+1), which engines can only do with strided slices. With the
    rows of the query and key projections in the order of `half_split_rows` the pairs are (i, i + d/2), and products
    of queries and keys are the same sums in another order.
    """

    first: Tensor

    def __init__(self, cos: Tensor, sin: Tensor, heads: int, hw: tuple[int, int] | None = None) -> None:
        """cos, sin: [positions, d], every value twice in a row, as the references have them.
        hw: of the map, if positions are its cells and each channel depends on one axis."""
        super().__init__()
        self.heads = heads
        halves = (cos[:, 0::2].contiguous(), sin[:, 0::2].contiguous())
        self.cos, self.sin = (Table(half) if hw is None else AxialTable(half, hw) for half in halves)
        self.register_buffer("first", torch.zeros(1, dtype=torch.int64))

    def forward(self, x: Tensor, rows: Tensor | None = None) -> Tensor:
        """x: [batch, positions, heads * d]. rows: [batch, positions] int64, of the tables; in their order where None.
        Returns the same shape, rotated.

        While a graph is traced this is one com.microsoft.RotaryEmbedding, which passes over x once.
        """
        if torch.onnx.is_in_onnx_export():
            rotated: Tensor = torch.onnx.ops.symbolic(
                "com.microsoft::RotaryEmbedding",
                [x, self.first if rows is None else rows, self.cos(), self.sin()],
                {"num_heads": self.heads},
                dtype=x.dtype,
                shape=x.shape,
                version=1,
            )
            return rotated
        tables = self.cos(), self.sin()
        cos, sin = (t[:, None] if rows is None else t[rows][:, :, None] for t in tables)
        one, other = torch.unflatten(x, -1, (self.heads, -1)).chunk(2, dim=-1)
        return torch.cat([one * cos - other * sin, other * cos + one * sin], dim=-1).flatten(-2)


def half_split_rows(width: int, heads: int) -> Tensor:
    """The order of projection rows in which `HalfSplitRotary` finds its pairs: per head even channels, then odd."""
    return torch.arange(width).reshape(heads, -1, 2).transpose(1, 2).flatten()


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A linear layer of given weight [out, in] and, unless it has none, bias [out], in float32."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = nn.Parameter(weight.detach().float().clone(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().float().clone(), requires_grad=False)
    return layer


def without_bias(projection: nn.Linear) -> nn.Linear:
    """The projection of an attention's keys or values without its bias, which costs a pass over what comes out.

    The bias of keys that are not rotated adds the same to all scores of a query, which a softmax does not see. That of
    values goes `with_value_bias` to the output's.
    """
    return linear(projection.weight)


def with_value_bias(out: nn.Linear, bias: Tensor) -> nn.Linear:
    """An attention's output projection that adds the bias [C] of its values.

    Rows of a softmax sum to 1, so P (V + b) Wo + bo = P V Wo + (b Wo + bo).
    """
    weight = out.weight.detach().double()
    return linear(weight, weight @ bias.detach().double() + out.bias.detach().double())


def chained(first: Any, second: Any) -> nn.Linear:
    """One linear layer that does what `first` and then `second` do, multiplied in double precision.

    first, second: linear layers or 1x1 convolutions.
    """
    w1, w2 = (m.weight.detach().double().flatten(1) for m in (first, second))
    return linear(w2 @ w1, w2 @ first.bias.detach().double() + second.bias.detach().double())


def doubled(convolution: Any, after: Any = None) -> nn.Linear:
    """A transposed 2x2 convolution of stride 2, and a 1x1 convolution after it, as a linear layer to [4 * out].

    The four results are those of the square that a cell becomes: its rows, then its columns.
    """
    weight, bias = convolution.weight.detach().double().permute(2, 3, 1, 0), convolution.bias.detach().double()
    if after is not None:
        pointwise = after.weight.detach().double().flatten(1)
        weight, bias = pointwise @ weight, pointwise @ bias + after.bias.detach().double()
    return linear(weight.flatten(0, 2), bias.repeat(4))


def followed(convolution: Any, after: Any) -> nn.Conv2d:
    """A convolution and a 1x1 convolution after it as one, multiplied in double precision."""
    pointwise = after.weight.detach().double().flatten(1)
    weight = torch.einsum("om,mihw->oihw", pointwise, convolution.weight.detach().double())
    bias = pointwise @ convolution.bias.detach().double() + after.bias.detach().double()
    both = nn.Conv2d(weight.shape[1], len(weight), convolution.kernel_size, convolution.stride, convolution.padding)
    both.weight, both.bias = (nn.Parameter(x.float(), requires_grad=False) for x in (weight, bias))
    return both


def downsampling_matrix(side: int, factor: int) -> Tensor:
    """The matrix [side / factor, side] of torch's antialiased bilinear downsampling along one axis."""
    rows = torch.eye(side, dtype=torch.float64)[None, None]
    small = F.interpolate(rows, size=(side // factor, side), mode="bilinear", align_corners=False, antialias=True)
    return small[0, 0].float()
