"""ImagePredictor and `everything` against the predictors of Meta and of SAM-HQ's authors, on the same weights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from apart import SAM, SAM2, SAM_HQ
from evaluate import CHECKPOINT
from masklet.export.families import sam, sam2
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.prompts.prompts import Box, Points
from masklet.runtime.segmentation.candidates import MaskChoice
from masklet.runtime.segmentation.everything import Everything, EverythingOptions
from masklet.runtime.segmentation.image_predictor import ImagePredictor
from meta_images import MetaImages
from meta_sam import meta_sam
from meta_sam2 import meta_predictor
from sam_checkpoints import random_sam, sam_config
from scenes import held_out
from torch_sessions import torch_sessions
from two_discs import iou

SIDE = 128
Pair = tuple[Sessions, MetaImages]
KIND: dict[bool, list[MaskChoice]] = {True: ["best", "single"], False: ["all", "single"]}  # by `best_alone`


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sam2_pair(request: pytest.FixtureRequest) -> Pair:
    bundle: Path = request.getfixturevalue("trained_bundle")
    model = sam2.FAMILY.load(str(CHECKPOINT), None)
    return Sessions.open(Bundle.load(bundle), OnnxRuntime(threads=1)), MetaImages(meta_predictor(model))


def sam_pair(request: pytest.FixtureRequest) -> Pair:
    model = random_sam(sam_config(side=SIDE))
    return torch_sessions(sam.FAMILY, model), MetaImages(meta_sam(model))


def sam_hq_pair(request: pytest.FixtureRequest) -> Pair:
    model = random_sam(sam_config(side=SIDE, hq=True))
    return torch_sessions(sam.FAMILY, model), MetaImages(meta_sam(model))


MODELS = {"sam2": sam2_pair, "sam": sam_pair, "sam_hq": sam_hq_pair}


@pytest.fixture(scope="module", params=MODELS)
def pair(request: pytest.FixtureRequest) -> Pair:
    for package in (SAM, SAM_HQ, SAM2):
        package.require()
    return MODELS[request.param](request)


def prompts(labels: Any) -> list[Points | Box]:
    """A click, three clicks, a box, and a box with a click, on the objects of a scene."""
    rows, columns = np.nonzero(labels == 1)
    middle = len(rows) // 2
    inside = (float(columns[middle]) + 0.5, float(rows[middle]) + 0.5)
    box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
    clicks = Points(np.array([inside, (5, 5), (100.5, 60.25)], np.float32), np.array([1, 0, 0]))
    return [Points.click(*inside), clicks, Box(*box), Box(*box, Points.click(100, 20, positive=False))]


def test_masks_of_prompts_are_those_of_the_authors(pair: Pair) -> None:
    sessions, theirs = pair
    ours, compared = ImagePredictor(sessions), 0
    for clip in held_out("cluttered", 2, frames=1, objects=2):
        ours.set_image(clip.frames[0])
        theirs.set_image(clip.frames[0])
        for prompt in prompts(clip.labels[0]):
            # SAM-HQ's decoder returns the best of the three alone (mask_decoder_hq.py 131-139).
            for several in KIND[theirs.best_alone]:
                found = ours.predict(prompt, choice=several)
                masks, ious, logits = theirs.predict(prompt, several=several != "single")
                compared += same(found, masks, ious)
                again = ours.predict(prompt, choice="single", earlier=found.low_res[:, 0])
                masks, ious, _ = theirs.predict(prompt, several=False, earlier=logits[:1])
                compared += same(again, masks, ious)
    assert compared == 2 * 4 * ((1 if theirs.best_alone else 3) + 1 + 1 + 1)


def same(found: Any, masks: Any, ious: Any) -> int:
    assert found.masks[0].shape == masks.shape
    np.testing.assert_allclose(found.scores[0], ious, atol=1e-4)
    for ours, theirs in zip(found.masks[0], masks, strict=True):
        assert iou(ours, theirs) >= 0.999
    return len(masks)


@pytest.mark.parametrize(("pair", "overlap"), [("sam2", 0.7), ("sam", 1.0)], indirect=["pair"])
def test_everything_is_what_the_authors_find(pair: Pair, overlap: float) -> None:
    sessions, theirs = pair
    image = next(iter(held_out("cluttered", 1, frames=1, objects=3))).frames[0]
    options = EverythingOptions(points_per_side=6, min_predicted_iou=0.3, min_stability=0.3, box_overlap=overlap)
    ours = [segment.mask() for segment in Everything(sessions, options).segment(image)]
    wanted = theirs.everything(image, options)
    assert len(ours) == len(wanted) > 1
    assert min(max(iou(mask, other) for mask in ours) for other in wanted) >= 0.999
