"""EdgeTAM against transformers: stage by stage, and through a video with the tracker of SAM 2."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from edgetam_checkpoints import edgetam_config, random_edgetam
from masklet.export import parity
from masklet.export.families import edgetam
from masklet.export.families.edgetam import FAMILY
from masklet.export.family import Case, ExportStage
from masklet.export.known_families import family_of
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import ExportError
from masklet.runtime.prompts.prompts import Points
from masklet.runtime.results import Frame
from masklet.runtime.segmentation.image_predictor import ImagePredictor
from masklet.runtime.tracking.known_policies import bank_bytes
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker
from torch_sessions import TorchSession, torch_sessions
from transformers.models.edgetam_video.modeling_edgetam_video import EdgeTamVideoInferenceSession

pytestmark = pytest.mark.skipif(
    find_spec("timm") is None, reason="timm has EdgeTAM's backbone: pip install --no-deps timm"
)
EXACT = 1e-5  # relative, FP32: nothing but the order of sums may differ
SIDE, FRAMES = 128, 12
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model() -> Any:
    return random_edgetam(edgetam_config(side=SIDE))


@pytest.fixture(scope="module")
def stages(model: Any) -> dict[str, ExportStage]:
    return {stage.spec.name: stage for stage in FAMILY.stages(model)}


@pytest.fixture(scope="module")
def sessions(model: Any) -> Sessions:
    return torch_sessions(FAMILY, model)


@pytest.fixture(scope="module")
def clip() -> list[Tensor]:
    """A bright disc that moves over a smooth ground."""
    rng = np.random.default_rng(0)
    ground = torch.nn.functional.interpolate(torch.from_numpy(rng.uniform(0, 200, (1, 3, 5, 5))), size=(SIDE, SIDE))
    rows, columns = np.mgrid[:SIDE, :SIDE]
    frames = []
    for t in range(FRAMES):
        image = ground[0].permute(1, 2, 0).numpy().copy()
        image[(rows - 60 - t) ** 2 + (columns - 40 - 3 * t) ** 2 < 400] = (250, 220, 60)
        frames.append(image.astype(np.uint8))
    return frames


@pytest.mark.parametrize(
    "name", ["image_encoder", "memory_attention", "mask_decoder", "memory_encoder", "mask_prompt_encoder"]
)
def test_stages_are_those_of_transformers(stages: dict[str, ExportStage], name: str) -> None:
    stage = stages[name]
    for case in stage.cases[:4]:
        seed = next(s for s in range(50) if stage.decided(stage.reference(stage.feeds(case, s))))
        feeds = stage.feeds(case, seed)
        got, wanted = TorchSession(stage).run(feeds), stage.reference(feeds)
        for output, reference in wanted.items():
            assert got[output].shape == reference.shape
            exact = EXACT
            if output in stage.rounded:  # 1e-7 becomes 4e-3 here and there; export compares it before that
                reference, exact = parity.to_bfloat16(reference), 2e-4
            assert np.linalg.norm(got[output] - reference) <= exact * np.linalg.norm(reference), (case.name, output)


def test_memory_attention_over_a_full_bank(stages: dict[str, ExportStage]) -> None:
    stage = stages["memory_attention"]
    feeds = stage.feeds(Case("", {"objects": 2, "memories": 7, "pointers": 16}), 3)
    got, wanted = TorchSession(stage).run(feeds)["image_embed"], stage.reference(feeds)["image_embed"]
    assert np.linalg.norm(got - wanted) <= EXACT * np.linalg.norm(wanted)


def test_a_video_through_the_tracker_of_sam2(model: Any, sessions: Sessions, clip: list[Tensor]) -> None:
    tracker = VideoTracker(sessions, TrackerOptions(fill_hole_area=0))
    session = EdgeTamVideoInferenceSession(dtype=torch.float32)
    ious = []
    for t, image in enumerate(clip):
        result = tracker.step(Frame(t, t / 30, image), {1: Points.click(40, 60)} if t == 0 else {})
        if t == 0:
            index = session.obj_id_to_idx(1)
            click = {"point_coords": torch.tensor([[[[40.0, 60.0]]]]), "point_labels": torch.tensor([[[1]]])}
            session.add_point_inputs(index, 0, click)
            session.obj_with_new_inputs.append(1)
        pixels = ((torch.from_numpy(image) / 255.0 - MEAN) / STD).permute(2, 0, 1)[None]
        with torch.inference_mode():
            out = model(session, frame=pixels, frame_idx=t)
        low = torch.nn.functional.interpolate(out.pred_masks, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        want = (low[0, 0] > 0).numpy()
        got = result.masks[0]
        assert 0 < want.mean() < 1
        ious.append((got & want).sum() / (got | want).sum())
    assert len(ious) == FRAMES
    assert min(ious) >= 0.999


def test_images_are_segmented_too(model: Any, sessions: Sessions, clip: list[Tensor]) -> None:
    predictor = ImagePredictor(sessions)
    predictor.set_image(clip[0])
    found = predictor.predict([Points.click(40, 60), Points.click(100, 100)], choice="all")
    assert found.masks.shape == (2, 3, SIDE, SIDE)


def test_the_bank_is_as_large_as_the_latents_make_it(model: Any) -> None:
    spec = FAMILY.spec(model)
    shapes = {t.name: t.shape for stage in spec.stages for t in (*stage.inputs, *stage.outputs)}
    assert shapes["memory"] == ("objects", "memories", 32, 64)
    assert shapes["new_memory"] == ("objects", 32, 64)
    memories, pointers = 8 + 6, 8 + 15
    assert bank_bytes(spec) == 4 * (memories * 32 * 64 + pointers * 128)
    assert (spec.family, spec.variant) == ("edgetam", "repvit-m1")


def test_every_graph_agrees_with_the_checkpoint(edgetam_bundle: Path) -> None:
    bundle = Bundle.load(edgetam_bundle)
    assert {figure.stage for figure in bundle.manifest.parity} == {stage.name for stage in bundle.model.stages}
    parity.require(bundle.manifest.parity)


def test_checkpoints_are_loaded_for_sizes_that_fit(model: Any, tmp_path: Path) -> None:
    folder = str(tmp_path / "edgetam")
    model.save_pretrained(folder)
    assert family_of("edgetam_video", folder).name == "edgetam"
    loaded = FAMILY.load(folder, 256)
    assert FAMILY.spec(loaded).preprocess.side == 256
    with pytest.raises(ExportError, match="image size 200 is not a multiple of 64; the nearest is 192"):
        FAMILY.load(folder, 200)


def test_another_layout_is_refused() -> None:
    config = edgetam_config()
    config.memory_attention_rope_k_sizes = [8, 8]
    with pytest.raises(ExportError, match="expected latents of both kinds"):
        edgetam.resize(config, 128, "x")


def test_without_torchvision_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'torchvision'")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(ExportError, match=r"No module named 'torchvision'.*pip install timm torchvision"):
        edgetam.require_timm()
