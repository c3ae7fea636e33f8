"""The names of SAM and SAM-HQ, of every published size, against the authors' own classes and transformers'."""

from pathlib import Path
from typing import Any

import pytest
import torch
from apart import SAM, SAM_HQ
from masklet.export.checkpoints.pretrained import fingerprint
from masklet.export.checkpoints.settings import Settings
from masklet.export.families.sam import FAMILY
from masklet.export.known_families import open_checkpoint
from sam_checkpoints import random_sam, sam_config
from transformers import SamConfig, SamHQConfig, SamHQModel, SamModel
from weights_files import layout, their_weights

SIZES = {"base": "vit_b", "large": "vit_l", "huge": "vit_h"}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("hq", [False, True], ids=["sam", "sam-hq"])
def test_names_are_a_bijection_and_shapes_say_the_size(size: str, hq: bool) -> None:
    package = SAM_HQ if hq else SAM
    package.require()
    kind, architecture = (SamHQConfig, SamHQModel) if hq else (SamConfig, SamModel)
    found, wanted = layout("sam-hq" if hq else "sam"), sam_config(size, side=1024, hq=hq)
    with torch.device("meta"):
        theirs: dict[str, Any] = package("build_sam").sam_model_registry[SIZES[size]]().state_dict()
        ours = architecture(wanted).state_dict()
    assert found.names.unmapped(theirs) == []
    shapes = {name: tuple(tensor.shape) for name, tensor in theirs.items()}
    assert kind.from_dict(found.configure(shapes, Settings())).to_dict() == wanted.to_dict()
    mapped = found.names.forward(theirs)
    assert {n: t.shape for n, t in mapped.items()} == {n: t.shape for n, t in ours.items()}
    assert {n: t.shape for n, t in found.names.backward(mapped).items()} == {n: t.shape for n, t in theirs.items()}


FILES: dict[str, Any] = {
    "sam": {},
    "sam-hq": {"hq": True},
    "slim": {"hidden_size": 168, "num_attention_heads": 12, "mlp_dim": 696},  # of SlimSAM-77, pruned from ViT-B
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_the_same_model_as_a_folder(kind: str, tmp_path: Path) -> None:
    model = random_sam(sam_config(**FILES[kind]))
    model.save_pretrained(tmp_path / "folder")
    weights = their_weights("sam-hq" if kind == "sam-hq" else "sam", model)
    torch.save(weights, tmp_path / "sam.pth")  # as published: without a key around it
    opened = open_checkpoint(str(tmp_path / "sam.pth"))
    assert fingerprint(FAMILY.load(opened, None)) == fingerprint(FAMILY.load(str(tmp_path / "folder"), None))
