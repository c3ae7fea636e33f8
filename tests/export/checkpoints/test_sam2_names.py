"""The names of Meta's SAM 2, of every published size, against Meta's own classes and transformers'."""

from typing import Any

import pytest
import torch
from apart import SAM2
from checkpoints import SIZES, sam2_config
from masklet.export.checkpoints.settings import Settings
from meta_sam2 import published_model, published_yaml
from transformers import Sam2VideoConfig, Sam2VideoModel
from weights_files import layout

SAM2.require()


def ours(config: Any) -> dict[str, torch.Tensor]:
    """Every tensor of transformers' model, on the meta device."""
    with torch.device("meta"):
        return dict(Sam2VideoModel(config).state_dict())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_names_are_a_bijection_and_shapes_say_the_size(size: str, version: str) -> None:
    theirs, sam2 = dict(published_model(size, version).state_dict()), layout("sam2")
    assert sam2.names.unmapped(theirs) == []
    shapes = {name: tuple(tensor.shape) for name, tensor in theirs.items()}
    wanted = sam2_config(SIZES[size], version=version)
    for settings in (Settings(), Settings.read(published_yaml(size, version))):
        config = Sam2VideoConfig.from_dict(sam2.configure(shapes, settings))
        assert config.to_dict() == wanted.to_dict()
    mapped = sam2.names.forward(theirs)
    assert {n: t.shape for n, t in mapped.items()} == {n: t.shape for n, t in ours(wanted).items()}
    assert {n: t.shape for n, t in sam2.names.backward(mapped).items()} == {n: t.shape for n, t in theirs.items()}


def test_a_yaml_of_another_size_is_refused() -> None:
    theirs = published_model("tiny").state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in theirs.items()}
    with pytest.raises(Exception, match=r"says 144 for model.image_encoder.trunk.embed_dim, but the weights have 96"):
        layout("sam2").configure(shapes, Settings.read(published_yaml("large")))
