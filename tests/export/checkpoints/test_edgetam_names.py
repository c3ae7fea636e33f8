"""The names of EdgeTAM against Meta's own classes and transformers', and its files."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from apart import EDGETAM
from edgetam_checkpoints import edgetam_config, random_edgetam
from masklet.export.checkpoints.pretrained import fingerprint
from masklet.export.checkpoints.settings import Settings
from masklet.export.families.edgetam import FAMILY
from masklet.export.known_families import open_checkpoint
from meta_edgetam import meta_edgetam
from transformers import EdgeTamVideoConfig, EdgeTamVideoModel
from weights_files import layout, their_weights, write_file

pytestmark = pytest.mark.skipif(find_spec("timm") is None, reason="timm has the backbone: pip install --no-deps timm")


@pytest.mark.parametrize("published", [True, False])
def test_names_are_a_bijection_and_shapes_say_the_size(published: bool) -> None:
    EDGETAM.require()
    wanted, found = edgetam_config(side=1024, small=False, published=published), layout("edgetam")
    model = EdgeTamVideoModel(wanted)
    ours: dict[str, Any] = model.state_dict()
    theirs = meta_edgetam(model).state_dict()  # its keys are all there, or it would not have loaded
    assert found.names.unmapped(theirs) == []
    assert published == ("no_obj_embed_spatial" not in theirs)
    shapes = {name: tuple(tensor.shape) for name, tensor in theirs.items()}
    assert EdgeTamVideoConfig.from_dict(found.configure(shapes, Settings())).to_dict() == wanted.to_dict()
    mapped = found.names.forward(theirs)
    assert {n: t.shape for n, t in mapped.items()} == {n: t.shape for n, t in ours.items()}
    assert found.names.backward(mapped).keys() == theirs.keys()


@pytest.mark.parametrize("published", [True, False])
def test_a_file_is_the_same_model_as_a_folder(published: bool, tmp_path: Path) -> None:
    model = random_edgetam(edgetam_config(side=1024, published=published))
    model.save_pretrained(tmp_path / "folder")
    path = write_file(tmp_path / "edgetam.pt", their_weights("edgetam", model))
    loaded = FAMILY.load(open_checkpoint(str(path)), None)
    assert fingerprint(loaded) == fingerprint(FAMILY.load(str(tmp_path / "folder"), None))
    assert torch.equal(loaded.spatial_perceiver.latents_2d, model.spatial_perceiver.latents_2d)
