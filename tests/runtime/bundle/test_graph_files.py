"""The weights file of a stage: what is placed is what is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from masklet.runtime.bundle.graph_files import ALIGNMENT, WeightsLayout, graph_file, write_weights


@given(constants=st.lists(st.binary(min_size=1, max_size=200), max_size=8))
def test_constants_lie_where_they_were_placed(tmp_path_factory: pytest.TempPathFactory, constants: list[bytes]) -> None:
    root = tmp_path_factory.mktemp("weights")
    layout = WeightsLayout("stage")
    places = [layout.place(len(raw)) for raw in constants]
    data = (root / write_weights(root, "stage", constants)).read_bytes()
    for raw, place in zip(constants, places, strict=True):
        start = int(place["offset"])
        assert place["location"] == "stage.weights"
        assert start % ALIGNMENT == 0
        assert data[start : start + int(place["length"])] == raw


def test_each_format_has_its_name() -> None:
    assert graph_file("mask_decoder", "onnx") == "mask_decoder.onnx"
    assert graph_file("mask_decoder", "onnx-ort") == "mask_decoder.ort.onnx"
