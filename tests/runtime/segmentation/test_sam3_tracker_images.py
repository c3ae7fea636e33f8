"""SAM 3's interactive head as a model of images, against transformers' Sam3TrackerModel."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import condition
from masklet.export import parity
from masklet.export.families.sam3_tracker import FAMILY
from masklet.export.known_families import family_of
from masklet.export.pipeline import export_bundle
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import ExportError, PromptError
from masklet.runtime.prompts.prompts import Box, Points
from masklet.runtime.segmentation.everything import Everything, EverythingOptions
from masklet.runtime.segmentation.image_predictor import ImagePredictor
from masklet.runtime.tracking.video_tracker import VideoTracker
from sam3_checkpoints import SIDE, WIDTH, vision_config
from transformers import Sam3TrackerConfig, Sam3TrackerModel
from two_discs import two_discs

PROMPTS: dict[str, tuple[Points | Box, dict[str, Any]]] = {
    "click": (Points.click(35, 40), {"input_points": [[[[35.0, 40.0]]]], "input_labels": [[[1]]]}),
    "clicks": (
        Points(np.array([[35, 40], [80, 70]], np.float32), np.array([1, 0])),
        {"input_points": [[[[35.0, 40.0], [80.0, 70.0]]]], "input_labels": [[[1, 0]]]},
    ),
    "box": (
        Box(20, 25, 60, 70),
        {"input_points": [[[[20.0, 25.0], [60.0, 70.0]]]], "input_labels": [[[2, 3]]]},
    ),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = Sam3TrackerConfig(
        vision_config={"model_type": "sam3_vision_model", **vision_config()},
        prompt_encoder_config={"hidden_size": WIDTH, "image_size": SIDE},
        mask_decoder_config={"hidden_size": WIDTH, "mlp_dim": 256, "iou_head_hidden_dim": WIDTH},
    )
    torch.manual_seed(0)
    model = Sam3TrackerModel(config).eval().requires_grad_(False)
    condition(model, 0)
    folder = tmp_path_factory.mktemp("sam3_tracker")
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("exported") / "bundle"
    export_bundle(str(checkpoint), path)
    return Bundle.load(path)


def test_it_is_exported_as_a_model_of_images(bundle: Bundle) -> None:
    assert (bundle.model.family, bundle.model.variant, bundle.model.pipeline) == ("sam3_tracker", "custom", "image")
    assert [stage.name for stage in bundle.model.stages] == ["image_encoder", "mask_decoder"]
    parity.require(bundle.manifest.parity)
    with pytest.raises(PromptError, match="it segments images, not videos"):
        VideoTracker(bundle)


@pytest.mark.parametrize("name", PROMPTS)
def test_candidates_are_those_of_transformers(name: str, bundle: Bundle, checkpoint: Path) -> None:
    """transformers adds the embedding of no memory to another level than Meta; here it is added to the one read."""
    prompt, given = PROMPTS[name]
    image = two_discs(1, SIDE, (35, 40, 14), (80, 70, 18))[0].image
    model = Sam3TrackerModel.from_pretrained(checkpoint).eval()
    predictor = ImagePredictor(bundle)
    predictor.set_image(image)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.inference_mode():
        levels = list(model.get_image_embeddings(pixels)[:3])
        levels[2] = levels[2] + model.no_memory_embedding.reshape(1, -1, 1, 1)
        tensors = {key: torch.tensor(value) for key, value in given.items()}
        wanted = model(image_embeddings=levels, multimask_output=True, **tensors)
    got = predictor.predict(prompt, choice="all")
    masks = wanted.pred_masks[0].numpy()
    assert np.linalg.norm(got.low_res - masks) <= 1e-4 * np.linalg.norm(masks)
    np.testing.assert_allclose(got.scores, wanted.iou_scores[0].numpy(), atol=1e-4)


def test_everything_of_an_image(bundle: Bundle) -> None:
    image = two_discs(1, SIDE, (35, 40, 14), (80, 70, 18))[0].image
    options = EverythingOptions(points_per_side=4, min_predicted_iou=0, min_stability=0, box_overlap=1.0)
    assert len(Everything(bundle, options).segment(image)) > 0


def test_sizes_that_fit_the_patches(checkpoint: Path) -> None:
    assert family_of("sam3_tracker", str(checkpoint)) is FAMILY
    assert FAMILY.spec(FAMILY.load(str(checkpoint), 168)).preprocess.side == 168
    with pytest.raises(ExportError, match="image size 100 is not a multiple of 14; the nearest is 98"):
        FAMILY.load(str(checkpoint), 100)
