"""MobileSAM: its names, file and encoder against its authors' own classes, and a small one exported."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from apart import MOBILE_SAM
from masklet.export import parity
from masklet.export.checkpoints.pretrained import fingerprint
from masklet.export.checkpoints.settings import Settings
from masklet.export.families.layouts import mobile_sam as names
from masklet.export.families.mobile_sam import FAMILY
from masklet.export.known_families import family_of, open_checkpoint
from masklet.export.pipeline import export_bundle
from masklet.export.references.mobile_sam_model import MobileSamConfig
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import ExportError
from masklet.runtime.prompts.prompts import Points
from masklet.runtime.segmentation.image_predictor import ImagePredictor
from mobile_sam_checkpoints import PUBLISHED, mobile_sam_config, random_mobile_sam
from torch_sessions import TorchSession
from two_discs import two_discs
from weights_files import layout, their_weights

EXACT = 1e-5


def relative(got: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> float:
    return float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))


@pytest.fixture(scope="module")
def published() -> Any:
    """MobileSAM of its published size."""
    return random_mobile_sam(mobile_sam_config(1024, **PUBLISHED))


@pytest.fixture(scope="module")
def theirs(published: Any) -> Any:
    """The authors' model with the same weights."""
    MOBILE_SAM.require()
    model = MOBILE_SAM("build_sam").build_sam_vit_t()
    missing, unexpected = model.load_state_dict(their_weights("mobile-sam", published), strict=False)
    assert unexpected == []
    assert all(name.startswith(("image_encoder.norm_head.", "image_encoder.head.")) for name in missing)
    return model.eval().requires_grad_(False)


def test_names_are_a_bijection_and_shapes_say_the_size(published: Any, theirs: Any) -> None:
    found, given = layout("mobile-sam"), theirs.state_dict()
    assert found.names.unmapped(given) == []
    shapes = {name: tuple(tensor.shape) for name, tensor in given.items()}
    config = MobileSamConfig.from_dict(found.configure(shapes, Settings()))
    assert config.to_dict() == published.config.to_dict()
    mapped = found.names.forward(given)
    assert mapped.keys() == published.state_dict().keys()
    assert found.names.backward(mapped).keys() == found.names.used(given).keys()


def test_the_encoder_is_the_authors(published: Any, theirs: Any) -> None:
    stage = next(FAMILY.stages(published))
    feeds = stage.feeds(stage.cases[0], 0)
    height, width = feeds["content_hw"].tolist()
    pixels = torch.from_numpy(feeds["image"])[0, :height, :width].permute(2, 0, 1).float()
    with torch.inference_mode():
        wanted = theirs.image_encoder(theirs.preprocess(pixels)[None]).numpy()
    assert relative(TorchSession(stage).run(feeds)["vision_feat"], wanted) <= EXACT


def test_the_decoder_is_the_authors(published: Any, theirs: Any) -> None:
    stage = list(FAMILY.stages(published))[1]
    feeds = stage.feeds(stage.cases[0], 0)
    feeds["has_mask"], feeds["point_labels"] = np.ones(2, np.float32), np.array([[1, 0, 1, -1]] * 2)
    given = {name: torch.from_numpy(feed) for name, feed in feeds.items()}
    with torch.inference_mode():
        points = given["point_coords"][:, :-1], given["point_labels"][:, :-1]  # the encoder pads them itself
        sparse, dense = theirs.prompt_encoder(points, None, given["mask_prompt"])
        masks, ious = theirs.mask_decoder.predict_masks(
            given["vision_feat"], theirs.prompt_encoder.get_dense_pe(), sparse, dense
        )
    got = TorchSession(stage).run(feeds)
    assert relative(got["candidate_masks"], masks.numpy()) <= EXACT
    assert relative(got["candidate_ious"], ious.numpy()) <= EXACT


def test_a_file_is_the_same_model(published: Any, tmp_path: Path) -> None:
    weights = their_weights("mobile-sam", published) | {"image_encoder.norm_head.weight": torch.ones(320)}
    torch.save(weights, tmp_path / "mobile_sam.pt")
    loaded = FAMILY.load(open_checkpoint(str(tmp_path / "mobile_sam.pt")), None)
    ours, wanted = loaded.state_dict(), published.state_dict()
    assert all(torch.equal(ours[name], wanted[name]) for name in wanted)
    assert FAMILY.spec(loaded).variant == "tiny-vit"
    del weights["image_encoder.layers.2.blocks.5.mlp.fc1.bias"]
    torch.save(weights, tmp_path / "part.pt")
    with pytest.raises(ExportError, match=r"lacks image_encoder.layers.2.blocks.5.mlp.fc1.bias; it is not a complete"):
        FAMILY.load(open_checkpoint(str(tmp_path / "part.pt")), None)


def test_a_small_one_is_exported_and_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of 6 do not divide its maps of 8 cells."""
    monkeypatch.setattr(names, "SIDE", 128)
    model = random_mobile_sam(mobile_sam_config())
    model.save_pretrained(tmp_path / "folder")
    torch.save(their_weights("mobile-sam", model), tmp_path / "small.pt")
    opened = open_checkpoint(str(tmp_path / "small.pt"))
    assert fingerprint(FAMILY.load(opened, None)) == fingerprint(FAMILY.load(str(tmp_path / "folder"), None))
    export_bundle(str(tmp_path / "small.pt"), tmp_path / "bundle")
    bundle = Bundle.load(tmp_path / "bundle")
    parity.require(bundle.manifest.parity)
    assert (bundle.model.family, bundle.model.variant, bundle.model.pipeline) == ("mobile_sam", "custom", "image")
    predictor = ImagePredictor(bundle)
    predictor.set_image(two_discs(1, 128, (35, 40, 14), (80, 70, 18))[0].image)
    assert predictor.predict(Points.click(35, 40), choice="all").masks.shape[-2:] == (128, 128)
    assert family_of("mobile_sam", "x") is FAMILY
