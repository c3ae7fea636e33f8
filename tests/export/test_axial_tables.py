"""Position tables that a graph holds as one row and one column: the same numbers, and fewer of them."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from masklet.export.families.sam2 import FAMILY
from masklet.export.modules.layers import AxialTable
from masklet.export.modules.memories import sine

GRID = (3, 5)


def test_its_sums_are_the_table(nano_checkpoint: Path) -> None:
    model = FAMILY.load(str(nano_checkpoint), (96, 160))
    table = sine(model.memory_encoder.position_encoding, 64, GRID)[0]
    axial = AxialTable(table, GRID)
    assert axial.rows.numel() + axial.columns.numel() == sum(GRID) * 64
    torch.testing.assert_close(axial(), table, rtol=0, atol=0)


def test_a_table_of_both_axes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a table \[15, 4\] that is not axial on a map of \(3, 5\)"):
        AxialTable(torch.randn(15, 4, generator=torch.Generator().manual_seed(0)), GRID)


@pytest.mark.parametrize("file", ["memory_attention.onnx", "memory_attention.ort.onnx"])
def test_a_graph_holds_rows_and_columns(nano_bundle: Path, file: str) -> None:
    graph = onnx.load(nano_bundle / file, load_external_data=False).graph
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
    width = sizes["positions.rows"] // 8
    assert sizes["positions.rows"] == sizes["positions.columns"] == 8 * width
    assert sum(count for name, count in sizes.items() if name.startswith("positions")) == 16 * width
