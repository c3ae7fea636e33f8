"""EfficientViT-SAM: its names and file, its backbone against timm's, and a small one exported."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from command_line import Cli
from efficientvit_sam_checkpoints import GRID, SIZES, efficientvit_sam_config, random_efficientvit_sam
from masklet.export import parity
from masklet.export.checkpoints.pretrained import fingerprint
from masklet.export.checkpoints.settings import Settings
from masklet.export.families.efficientvit_sam import FAMILY
from masklet.export.families.layouts import efficientvit_sam as names
from masklet.export.known_families import open_checkpoint
from masklet.export.references.efficientvit_sam_model import EPS, EfficientVitSamConfig, EfficientVitSamModel
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import ExportError
from masklet.runtime.prompts.prompts import Box, Points
from masklet.runtime.segmentation.image_predictor import ImagePredictor
from PIL import Image
from published_names import published_names
from torchvision_stub import import_timm
from two_discs import two_discs
from weights_files import layout, their_weights, write_file

EXACT = 1e-5


def shapes_of(tensors: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


@pytest.mark.parametrize("size", SIZES)
def test_names_are_a_bijection_and_shapes_say_the_size(size: str) -> None:
    theirs, found = published_names("efficientvit_sam", size), layout("efficientvit-sam")
    assert found.names.unmapped(theirs) == []
    config = EfficientVitSamConfig.from_dict(found.configure(theirs, Settings()))
    assert config.to_dict() == efficientvit_sam_config(size).to_dict()
    with torch.device("meta"):
        model = EfficientVitSamModel(config)
        mapped = found.names.forward({name: torch.empty(shape) for name, shape in theirs.items()})
    assert shapes_of(mapped) == shapes_of(model.state_dict())
    assert shapes_of(found.names.backward(mapped)) == theirs
    assert (FAMILY.spec(model).variant, FAMILY.spec(model).preprocess.side) == (size, 512 if size < "x" else 1024)


@pytest.fixture(scope="module")
def small() -> Any:
    """A small one, whose images have half the size of its prompts, as those of L0 to L2."""
    return random_efficientvit_sam(efficientvit_sam_config())


def our_name(of_timm: str) -> str:
    """The name below our stages of a tensor of timm's, which counts them from 0 behind a stem."""
    part, _, rest = of_timm.partition(".")
    if part == "stages":
        stage, _, inner = rest.partition(".blocks.")
        return f"{int(stage) + 1}.{inner}"
    unit, _, inner = rest.partition(".")
    return f"0.{0 if unit == 'in_conv' else int(unit.removeprefix('res')) + 1}.{inner}"


def test_the_backbone_is_that_of_timm() -> None:
    """timm has no EfficientViT-SAM, but the backbone of L0 to L2, by another author and under other names."""
    if find_spec("timm") is None:
        pytest.skip("timm has the backbone: pip install --no-deps timm")
    import_timm()
    from timm.models.efficientvit_mit import EfficientVitLarge

    config = efficientvit_sam_config()
    config.vision_config.update({"head_dim": 32, "embed_dims": [32, 32, 64, 64, 128]})
    encoder = random_efficientvit_sam(config).vision_encoder
    widths, depths = tuple(config.vision_config.embed_dims), tuple(config.vision_config.depths)
    theirs = EfficientVitLarge(widths=widths, depths=depths, norm_eps=EPS, head_widths=(8, 8)).eval()
    ours = encoder.stages.state_dict()
    renamed = {name: ours[our_name(name)] for name in theirs.state_dict() if not name.startswith("head.")}
    assert len(renamed) == len(ours)
    theirs.load_state_dict(renamed, strict=False)
    pixels = torch.randn(1, 3, 192, 192, generator=torch.Generator().manual_seed(0))
    maps = [pixels]
    with torch.inference_mode():
        for stage in encoder.stages:
            maps.append(stage(maps[-1]))
        for got, wanted in zip(maps[2:], theirs.forward_intermediates(pixels, intermediates_only=True), strict=True):
            assert float((got - wanted).norm() / wanted.norm()) <= EXACT


def test_a_file_is_the_same_model(small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "GRID", GRID)
    weights = their_weights("efficientvit-sam", small)
    torch.save(weights, tmp_path / "small.pt")
    small.save_pretrained(tmp_path / "folder")
    loaded = FAMILY.load(open_checkpoint(str(tmp_path / "small.pt")), None)
    assert fingerprint(loaded) == fingerprint(FAMILY.load(str(tmp_path / "folder"), None))
    with pytest.raises(ExportError, match="is for images of 64 px and cannot be exported for 512 px"):
        FAMILY.load(open_checkpoint(str(tmp_path / "small.pt")), 512)
    last = "image_encoder.backbone.stages.4.op_list"
    for lost in (f"{last}.2.local_module.main.point_conv.norm.bias", f"{last}.1.context_module.main.aggreg.0.1.weight"):
        part = {name: tensor for name, tensor in weights.items() if not name.startswith(lost)}
        torch.save(part, tmp_path / "part.pt")
        with pytest.raises(ExportError, match=rf"lacks {lost}"):
            FAMILY.load(open_checkpoint(str(tmp_path / "part.pt")), None)


def test_a_small_one_is_exported_verified_and_segments(
    small: Any, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "GRID", GRID)
    file = write_file(tmp_path / "small.pt", their_weights("efficientvit-sam", small))
    code, out, err = cli("export", file, "-o", tmp_path / "bundle")
    assert (code, err) == (0, "")
    assert "efficientvit-sam: its 'model'" in out
    code, _, err = cli("verify", tmp_path / "bundle", "--reference", file)
    assert (code, err) == (0, "")
    bundle = Bundle.load(tmp_path / "bundle")
    parity.require(bundle.manifest.parity)
    assert (bundle.model.family, bundle.model.variant, bundle.model.pipeline) == ("efficientvit_sam", "custom", "image")
    predictor, image = ImagePredictor(bundle), two_discs(1, 96, (35, 40, 14), (80, 70, 18))[0].image[:61]
    predictor.set_image(image)
    found = predictor.predict([Points.click(35, 40), Box(20, 20, 60, 60)], choice="single")
    assert found.masks.shape == (2, 1, 61, 96)
    assert np.abs(found.low_res[0] - found.low_res[1]).max() > 0
    check_enlarged(predictor)
    Image.fromarray(image).save(tmp_path / "image.png")
    words = ("--points-per-side", 4, "--min-predicted-iou", 0, "--min-stability", 0)
    code, _, err = cli("everything", tmp_path / "bundle", tmp_path / "image.png", "-o", tmp_path / "all.json", *words)
    assert (code, err) == (0, "")
    assert json.loads((tmp_path / "all.json").read_text())["annotations"]


def check_enlarged(predictor: ImagePredictor) -> None:
    """Masks are enlarged to the square of prompts, cut at what an image of 61 x 96 covers there, enlarged again
    (efficientvit/models/efficientvit/sam.py, postprocess_masks)."""
    found = predictor.predict(Points.click(35, 40), choice="single", logits=True)
    assert found.logits is not None
    rows, side = round(16 * GRID * 61 / 96), 16 * GRID
    whole = F.interpolate(torch.from_numpy(found.low_res), size=(side, side), mode="bilinear", align_corners=False)
    wanted = F.interpolate(whole[:, :, :rows], size=(61, 96), mode="bilinear", align_corners=False).numpy()
    np.testing.assert_allclose(found.logits, wanted, atol=1e-4)
