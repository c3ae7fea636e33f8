"""EdgeSAM: its names and file, and a small one exported."""

from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import Cli
from edge_sam_checkpoints import edge_sam_config, random_edge_sam
from masklet.export import parity
from masklet.export.checkpoints.pretrained import fingerprint
from masklet.export.checkpoints.settings import Settings
from masklet.export.families.edge_sam import FAMILY
from masklet.export.families.layouts import edge_sam as names
from masklet.export.known_families import open_checkpoint
from masklet.export.references.edge_sam_model import EdgeSamConfig, EdgeSamModel
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import ExportError
from masklet.runtime.prompts.prompts import Points
from masklet.runtime.segmentation.image_predictor import ImagePredictor
from published_names import published_names
from two_discs import two_discs
from weights_files import layout, their_weights, write_file


def shapes_of(tensors: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def test_names_are_a_bijection_and_shapes_say_the_size() -> None:
    theirs, found = published_names("edge_sam"), layout("edge-sam")
    assert found.names.unmapped(theirs) == []
    config = EdgeSamConfig.from_dict(found.configure(theirs, Settings()))
    assert config.to_dict() == edge_sam_config(1024, published=True).to_dict()
    with torch.device("meta"):
        model = EdgeSamModel(config)
        mapped = found.names.forward({name: torch.empty(shape) for name, shape in theirs.items()})
    assert shapes_of(mapped) == shapes_of(model.state_dict())
    assert shapes_of(found.names.backward(mapped)) == theirs
    assert FAMILY.spec(model).variant == "repvit-m1"


@pytest.fixture(scope="module")
def small() -> Any:
    return random_edge_sam(edge_sam_config())


def test_a_file_is_the_same_model(small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "SIDE", 128)
    weights = their_weights("edge-sam", small)
    torch.save(weights, tmp_path / "small.pt")
    small.save_pretrained(tmp_path / "folder")
    loaded = FAMILY.load(open_checkpoint(str(tmp_path / "small.pt")), None)
    assert fingerprint(loaded) == fingerprint(FAMILY.load(str(tmp_path / "folder"), None))
    del weights["image_encoder.features.3.token_mixer.1.fc2.bias"]
    torch.save(weights, tmp_path / "part.pt")
    with pytest.raises(ExportError, match=r"lacks image_encoder.features.3.token_mixer.1.fc2.bias; it is not a comp"):
        FAMILY.load(open_checkpoint(str(tmp_path / "part.pt")), None)


def test_a_small_one_is_exported_verified_and_segments(
    small: Any, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "SIDE", 128)
    file = write_file(tmp_path / "small.pt", their_weights("edge-sam", small))
    code, out, err = cli("export", file, "-o", tmp_path / "bundle")
    assert (code, err) == (0, "")
    assert "edge-sam: its 'model'" in out
    code, _, err = cli("verify", tmp_path / "bundle", "--reference", file)
    assert (code, err) == (0, "")
    bundle = Bundle.load(tmp_path / "bundle")
    parity.require(bundle.manifest.parity)
    assert (bundle.model.family, bundle.model.variant, bundle.model.pipeline) == ("edge_sam", "custom", "image")
    predictor = ImagePredictor(bundle)
    predictor.set_image(two_discs(1, 128, (35, 40, 14), (80, 70, 18))[0].image)
    assert predictor.predict(Points.click(35, 40), choice="all").masks.shape[-2:] == (128, 128)
