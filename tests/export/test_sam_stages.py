"""The graph modules of SAM and SAM-HQ against transformers' own modules: exact rewrites, whatever the configuration."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from masklet.export.families.sam import FAMILY
from masklet.export.family import Case, ExportStage, Feeds
from masklet.export.known_families import family_of
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import ExportError
from sam_checkpoints import VIT, random_sam, sam_config

EXACT = 1e-5  # relative, FP32: nothing but the order of sums may differ


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def stage_of(model: Any, name: str) -> ExportStage:
    return next(stage for stage in FAMILY.stages(model) if stage.spec.name == name)


def run(stage: ExportStage, feeds: Feeds) -> dict[str, Tensor]:
    with torch.inference_mode():
        outputs = stage.module.eval()(**{name: torch.from_numpy(np.array(feed)) for name, feed in feeds.items()})
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return {t.name: o.numpy() for t, o in zip(stage.spec.outputs, outputs, strict=True)}


def agree(stage: ExportStage, case: Case, seed: int = 0) -> None:
    feeds = stage.feeds(case, seed)
    got, wanted = run(stage, feeds), stage.reference(feeds)
    for name, reference in wanted.items():
        difference = np.linalg.norm((got[name].astype(np.float64) - reference).ravel())
        assert got[name].shape == reference.shape, name
        assert difference <= EXACT * np.linalg.norm(reference.ravel()), name


SLIM: dict[str, Any] = {"hidden_size": 168, "mlp_dim": 696, "num_hidden_layers": 2, "global_attn_indexes": [1]}
ENCODERS: dict[str, Callable[[], Any]] = {
    "windows that divide no map": lambda: sam_config(window_size=3),
    "windows larger than the map": lambda: sam_config(window_size=14),
    "global from the start": lambda: sam_config(window_size=4, global_attn_indexes=[0, 1, 2]),
    "no relative positions": lambda: sam_config(window_size=3, use_rel_pos=False),
    "no positions": lambda: sam_config(window_size=3, use_abs_pos=False),
    "SAM-HQ": lambda: sam_config(window_size=3, hq=True),
    "SlimSAM-77's widths": lambda: sam_config("base", side=256, **SLIM),
    "large, two layers": lambda: sam_config("large", side=256, num_hidden_layers=2, global_attn_indexes=[1]),
    "huge, two layers": lambda: sam_config("huge", side=256, num_hidden_layers=2, global_attn_indexes=[1]),
}


@pytest.mark.parametrize("config", list(ENCODERS))
def test_image_encoder(config: str) -> None:
    stage = stage_of(random_sam(ENCODERS[config]()), "image_encoder")
    for seed in (0, 1):
        agree(stage, stage.cases[0], seed)


@pytest.mark.parametrize("hq", [False, True])
def test_mask_decoder(hq: bool) -> None:
    stage = stage_of(random_sam(sam_config(hq=hq)), "mask_decoder")
    for case in stage.cases:
        agree(stage, case)


def test_what_an_image_does_not_cover_is_not_seen() -> None:
    """Padding is 0 after normalisation: black pixels would be something else."""
    stage = stage_of(random_sam(sam_config()), "image_encoder")
    feeds = stage.feeds(Case("", fixed={"content_hw": [128, 70]}), 0)
    beside = feeds["image"].copy()
    beside[:, :, 70:] = 255
    assert np.array_equal(run(stage, feeds)["vision_feat"], run(stage, {**feeds, "image": beside})["vision_feat"])
    whole = {**feeds, "content_hw": np.array([128, 128])}
    assert not np.allclose(run(stage, feeds)["vision_feat"], run(stage, whole)["vision_feat"], atol=1e-2)


def test_variants_are_named_after_the_published_sizes() -> None:
    class Empty:
        def __init__(self, config: Any) -> None:
            self.config = config

    named = {size: FAMILY.spec(Empty(sam_config(size, side=1024))).variant for size in VIT}
    assert named == {"nano": "custom", "base": "vit-base", "large": "vit-large", "huge": "vit-huge"}
    hq = FAMILY.spec(Empty(sam_config("base", side=1024, hq=True)))
    assert hq.variant == "hq-vit-base"
    assert hq.stage("mask_decoder").accepts("hq_feat")
    assert (hq.pipeline, hq.preprocess.resize, hq.memory) == ("image", "longest_side", None)


def test_checkpoints_are_found_by_their_model_type() -> None:
    assert family_of("sam", "x").name == family_of("sam_hq", "x").name == "sam"


def test_another_image_size_or_layout_is_refused(tmp_path: Any) -> None:
    random_sam(sam_config()).save_pretrained(tmp_path / "sam")
    with pytest.raises(ExportError, match="is for images of 128 px and cannot be exported for 256"):
        FAMILY.load(str(tmp_path / "sam"), 256)
    assert FAMILY.load(str(tmp_path / "sam"), 128).config.vision_config.image_size == 128
    odd = sam_config()
    odd.prompt_encoder_config.image_embedding_size = 7
    odd.save_pretrained(tmp_path / "odd")
    with pytest.raises(ExportError, match="expected a map of 8 cells a side"):
        FAMILY.load(str(tmp_path / "odd"), None)
