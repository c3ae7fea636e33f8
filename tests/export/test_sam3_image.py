"""SAM 3's graphs one after the other on an image, against Sam3Model as a whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from masklet.export.references import sam3_reference
from masklet.export.references.sam2_reference import draw_image
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import Tensor
from sam3_checkpoints import SIDE, detector_config, random_sam3, sam3_tokenizer
from tokenizers import Tokenizer
from torch_sessions import torch_sessions
from transformers import Sam3VideoModel

TOLERANCE = 1e-4  # relative
PADDING = -10  # of a box, in transformers
EXEMPLARS = np.array([[0.3, 0.4, 0.2, 0.3], [0.6, 0.5, 0.5, 0.4]], np.float32)
NONE = np.zeros((1, 4), np.float32)


@pytest.fixture(scope="module")
def image() -> Tensor:
    return draw_image(np.random.default_rng(5), (1, SIDE, SIDE, 3))


@pytest.fixture(scope="module")
def model(sam3_checkpoint: Path) -> Any:
    return Sam3VideoModel.from_pretrained(sam3_checkpoint).eval().detector_model


@pytest.fixture(scope="module")
def bundle(sam3_bundle: Path) -> Bundle:
    return Bundle.load(sam3_bundle)


@pytest.fixture(scope="module")
def sessions(bundle: Bundle) -> Sessions:
    return Sessions.open(bundle, OnnxRuntime(threads=1))


def detect(
    sessions: Sessions, tokenizer: Any, image: Tensor, phrases: list[str], boxes: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    """Stage by stage as the runtime does it; labels as in transformers, PADDING where there is no box."""
    texts = [tokenizer.encode(phrase) for phrase in phrases]
    ids, text_valid = np.array([t.ids for t in texts]), np.array([t.attention_mask for t in texts], np.float32)
    box_valid = (labels != PADDING).astype(np.float32)
    features = sessions.run("image_encoder", {"image": image})
    text = sessions.run("text_encoder", {"text_ids": ids, "text_valid": text_valid})["text_feat"]
    geometry = sessions.run(
        "geometry_encoder",
        {
            "det_fpn2": features["det_fpn2"],
            "boxes": boxes,
            "box_labels": np.maximum(labels, 0),
            "box_valid": box_valid,
        },
    )
    prompt = {
        "prompt": np.concatenate([text, geometry["exemplar_feat"], geometry["geometry_cls"]], axis=1),
        "prompt_valid": np.concatenate([text_valid, box_valid, np.ones((len(phrases), 1), np.float32)], axis=1),
    }
    found = sessions.run("detector", {"det_fpn2": features["det_fpn2"], **prompt})
    given = {**features, **prompt, "encoded": found["encoded"], "selected_queries": found["queries"]}
    masks = sessions.run("mask_head", {t.name: given[t.name] for t in sessions.model.stage("mask_head").inputs})
    return {**found, **masks}


def whole(model: Any, image: Tensor, phrases: list[str], **prompts: Any) -> dict[str, Tensor]:
    """Sam3Model on one image and all phrases at once; a box is pooled by its formula where torchvision is missing."""
    text = sam3_tokenizer()(phrases, return_tensors="pt", padding="max_length", max_length=32)
    pixels = torch.from_numpy(image).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.inference_mode(), sam3_reference.pooling(model.geometry_encoder):
        out = model(
            pixel_values=pixels.expand(len(phrases), -1, -1, -1),
            input_ids=text.input_ids,
            attention_mask=text.attention_mask,
            **{name: torch.from_numpy(value) for name, value in prompts.items()},
        )
    return {
        "detection_logits": out.pred_logits.numpy(),
        "detection_boxes": out.pred_boxes.numpy(),
        "presence_logit": out.presence_logits.numpy(),
        "instance_masks": out.pred_masks.numpy(),
        "semantic_mask": out.semantic_seg.numpy(),
    }


def same(got: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    for name, reference in wanted.items():
        assert got[name].shape == reference.shape
        assert np.linalg.norm(got[name] - reference) <= TOLERANCE * np.linalg.norm(reference), name
    scores = [1 / (1 + np.exp(-o["detection_logits"])) / (1 + np.exp(-o["presence_logit"])) for o in (got, wanted)]
    assert np.allclose(scores[0], scores[1], rtol=TOLERANCE)


CASES: dict[str, tuple[list[str], list[Tensor], list[list[int]]]] = {
    "text": (["a red bus"], [NONE], [[PADDING]]),
    "text and boxes": (["a person"], [EXEMPLARS], [[1, 0]]),
    "boxes alone": (["visual"], [EXEMPLARS], [[1, 1]]),
    "a batch of phrases": (
        ["car", "two yellow taxis", "visual"],
        [EXEMPLARS, EXEMPLARS[::-1], EXEMPLARS],
        [[PADDING, PADDING], [1, PADDING], [0, 1]],
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_an_image_is_what_transformers_makes_of_it(
    sessions: Sessions, bundle: Bundle, model: Any, image: Tensor, case: str
) -> None:
    """Where there is no exemplar the reference is given a padded one, since otherwise it leaves the CLS out."""
    phrases, boxes, labels = CASES[case]
    given = {"boxes": np.stack(boxes), "labels": np.array(labels)}
    tokenizer = Tokenizer.from_file(str(bundle.asset("tokenizer.json")))
    got = detect(sessions, tokenizer, image, phrases, **given)
    same(got, whole(model, image, phrases, input_boxes=given["boxes"], input_boxes_labels=given["labels"]))


def test_text_alone_comes_with_the_cls_as_in_metas_code(
    sessions: Sessions, bundle: Bundle, model: Any, image: Tensor
) -> None:
    """transformers leaves it out, which is another prompt: without it, ours is transformers'."""
    tokenizer = Tokenizer.from_file(str(bundle.asset("tokenizer.json")))
    text = tokenizer.encode("a red bus")
    stock = whole(model, image, ["a red bus"])
    with_cls = detect(sessions, tokenizer, image, ["a red bus"], NONE[None], np.array([[PADDING]]))
    assert np.abs(with_cls["detection_logits"] - stock["detection_logits"]).max() > 1e-3
    features = sessions.run("image_encoder", {"image": image})
    prompt = sessions.run("text_encoder", {"text_ids": np.array([text.ids])})["text_feat"]
    valid = np.array([text.attention_mask], np.float32)
    found = sessions.run("detector", {"det_fpn2": features["det_fpn2"], "prompt": prompt, "prompt_valid": valid})
    wanted = {name: stock[name] for name in ("detection_logits", "detection_boxes", "presence_logit")}
    same(found, wanted)


def test_litetext_is_told_what_is_padding(bundle: Bundle, image: Tensor) -> None:
    from masklet.export.families.sam3 import FAMILY

    lite = random_sam3(detector_config(lite=True))
    tokenizer = Tokenizer.from_file(str(bundle.asset("tokenizer.json")))
    phrases, boxes, labels = CASES["a batch of phrases"]
    given = {"boxes": np.stack(boxes), "labels": np.array(labels)}
    got = detect(torch_sessions(FAMILY, lite), tokenizer, image, phrases, **given)
    same(got, whole(lite, image, phrases, input_boxes=given["boxes"], input_boxes_labels=given["labels"]))
