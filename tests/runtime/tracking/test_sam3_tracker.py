"""SAM 3's tracker by VideoTracker and ImagePredictor, as they serve SAM 2, against transformers' own loop."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from masklet.export.families.sam3 import FAMILY
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.prompts.prompts import Box, Points, Prompt
from masklet.runtime.results import Frame
from masklet.runtime.segmentation.candidates import MaskChoice
from masklet.runtime.segmentation.image_predictor import ImagePredictor
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker
from reference_video import MetaSam3Tracker, ReferenceTracker, agreement
from sam3_checkpoints import SIDE, random_sam3, tracker_config
from torch_sessions import torch_sessions
from transformers import Sam3TrackerModel
from two_discs import disc, two_discs

AS_REFERENCE = TrackerOptions(fill_hole_area=0, pin_corrections=False)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam3_tracker")
    random_sam3(tracker_config()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Any:
    return FAMILY.load(str(checkpoint), None)


@pytest.fixture(scope="module")
def sessions(model: Any) -> Sessions:
    return torch_sessions(FAMILY, model)


def scene(count: int) -> list[Frame]:
    return two_discs(count, SIDE, (35, 40, 14), (80, 70, 18))


GIVEN: dict[int, dict[int, Prompt]] = {
    0: {1: Points(np.array([[35, 40], [80, 70]], np.float32), np.array([1, 0])), 2: Box(60, 50, 100, 90)},
    4: {3: disc(SIDE, 50, 50, 16)},
}
CORRECTED: dict[int, tuple[int, Prompt]] = {6: (1, Points.click(60, 60, positive=False))}


def compare(sessions: Sessions, checkpoint: Path, frames: int, *deviates: str, **constants: float) -> list[float]:
    """Mask IoU of every object on every frame, between our tracker and the reference. constants: of the reference."""
    ours = VideoTracker(sessions, AS_REFERENCE)
    theirs = ReferenceTracker(str(checkpoint), frozenset(deviates), MetaSam3Tracker, **constants)
    return agreement(ours, theirs, scene(frames), GIVEN, CORRECTED)


def test_clicks_boxes_masks_and_corrections_are_tracked_as_in_the_reference(
    sessions: Sessions, checkpoint: Path
) -> None:
    ious = compare(sessions, checkpoint, 12)
    assert len(ious) == 4 * 2 + 8 * 3 + 3
    assert np.mean(ious) >= 0.999
    assert min(ious) >= 0.99


@pytest.mark.parametrize("rule", ["memory_from_low_res", "mask_at_16_a_cell"])
def test_masks_have_16_a_cell_as_in_metas_code(sessions: Sessions, checkpoint: Path, rule: str) -> None:
    """transformers brings masks to the image's size, for memory and where they are given; the loop then leaves ours."""
    assert np.mean(compare(sessions, checkpoint, 8)) >= 0.999
    assert np.mean(compare(sessions, checkpoint, 8, rule)) < 0.999


def test_frames_are_selected_for_memory_as_in_metas_code(model: Any, checkpoint: Path) -> None:
    """With a threshold that half of the frames exceed; transformers attends to the last ones, whatever they are."""
    least, played = 0.52, torch_sessions(FAMILY, model)
    assert played.model.memory is not None
    memory = msgspec.structs.replace(played.model.memory, min_effective_iou=least)
    played.model = msgspec.structs.replace(played.model, memory=memory)
    ious = compare(played, checkpoint, 14, mf_threshold=least)
    assert np.mean(ious) >= 0.999
    assert min(ious) >= 0.99
    assert np.mean(compare(played, checkpoint, 14, "memory_selection")) < 0.999


PROMPTS: dict[str, tuple[Prompt, dict[str, Any]]] = {
    "click": (
        Points.click(35, 40),
        {"input_points": torch.tensor([[[[35.0, 40.0]]]]), "input_labels": torch.tensor([[[1]]])},
    ),
    "clicks": (
        Points(np.array([[35, 40], [80, 70], [20, 30]], np.float32), np.array([1, 0, 1])),
        {
            "input_points": torch.tensor([[[[35.0, 40.0], [80.0, 70.0], [20.0, 30.0]]]]),
            "input_labels": torch.tensor([[[1, 0, 1]]]),
        },
    ),
    "box": (Box(60, 50, 100, 90), {"input_boxes": torch.tensor([[[60.0, 50.0, 100.0, 90.0]]])}),
}


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> Any:
    """transformers' model of images on the same weights."""
    return Sam3TrackerModel.from_pretrained(checkpoint).eval()


def pixels_of(image: Tensor) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1


@pytest.mark.parametrize("name", list(PROMPTS))
def test_candidates_of_an_image_are_those_of_transformers(
    sessions: Sessions, model: Any, reference: Any, name: str
) -> None:
    """The three masks, the single one, and both again from earlier logits. The image is embedded by the video model."""
    prompt, given = PROMPTS[name]
    image = scene(1)[0].image
    predictor = ImagePredictor(sessions)
    predictor.set_image(image)
    embeddings = model.get_image_embeddings(pixels_of(image))
    earlier = predictor.predict(PROMPTS["click"][0], choice="best").low_res[:, 0]
    assert np.abs(earlier).max() < 32  # beyond it they would be clamped
    kinds: tuple[MaskChoice, ...] = ("all", "single")
    for kind, logits in product(kinds, (None, earlier)):
        masks_in = None if logits is None else torch.from_numpy(logits)[None]
        with torch.inference_mode():
            wanted = reference(
                image_embeddings=embeddings, input_masks=masks_in, multimask_output=kind == "all", **given
            )
        got = predictor.predict(prompt, choice=kind, earlier=logits)
        masks = wanted.pred_masks[0].numpy()
        assert got.low_res.shape == masks.shape
        assert np.linalg.norm(got.low_res - masks) <= 1e-4 * np.linalg.norm(masks)
        np.testing.assert_allclose(got.scores, wanted.iou_scores[0].numpy(), atol=1e-4)


def test_no_memory_is_added_to_what_is_read_as_in_metas_code(model: Any, reference: Any) -> None:
    """transformers' model of images keeps the level of half size, and adds the embedding of no memory to that one."""
    pixels = pixels_of(scene(1)[0].image)
    ours, theirs = model.get_image_embeddings(pixels)[-1], reference.get_image_embeddings(pixels)[2]
    added = model.no_memory_embedding.reshape(1, -1, 1, 1)
    torch.testing.assert_close(ours, theirs + added)
    assert added.abs().max() > 0.1


@pytest.mark.parametrize("name", list(PROMPTS))
def test_an_image_is_the_first_frame_of_a_video(sessions: Sessions, name: str) -> None:
    prompt, frame = PROMPTS[name][0], scene(1)[0]
    predictor = ImagePredictor(sessions)
    predictor.set_image(frame.image)
    found = predictor.predict(prompt)
    (pending,) = VideoTracker(sessions, AS_REFERENCE).advance(frame, {1: prompt})
    np.testing.assert_allclose(found.low_res[0], pending.low_res, rtol=1e-4, atol=1e-4)
    assert np.array_equal(found.masks[0], pending.result().masks)


def test_images_take_points_boxes_and_masks(sessions: Sessions) -> None:
    """A mask's logits have a quarter of 16 a cell, whatever the image's size is."""
    predictor = ImagePredictor(sessions)
    predictor.set_image(scene(1)[0].image)
    found = predictor.predict([Points.click(35, 40), Box(60, 50, 100, 90), disc(SIDE, 50, 50, 16)])
    assert found.masks.shape == (3, 1, SIDE, SIDE)
    assert found.low_res.shape == (3, 1, 32, 32)
    assert found.masks.any(axis=(1, 2, 3)).all()
