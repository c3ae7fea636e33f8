"""ConceptPredictor: calls of the stages on a script, and parity with transformers on random weights."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.concepts.concept import Concept, Exemplar
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.concepts.predictor import ConceptPredictor, Found
from masklet.runtime.errors import BundleError, PromptError, SpecError
from masklet.runtime.prompts.prompts import Box
from masklet.runtime.segmentation.image_predictor import Embedding
from scripted_concepts import HW, MODEL, Script, disc, sessions
from tokenizers import Tokenizer

IMAGE = np.zeros((*HW, 3), np.uint8)


@pytest.fixture
def script() -> Script:
    script = Script(2, phrases=("car", "dog"))
    for t in range(2):
        script.see(t, disc(9, 10, 5))
        script.see(t, disc(22, 20, 4), score=0.6)
        script.see(t, disc(22, 20, 4), score=0.4)
        script.see(t, disc(15, 15, 6), score=0.8, phrase="dog")
    return script


def test_every_instance_of_every_phrase(script: Script, tmp_path: Path) -> None:
    predictor = ConceptPredictor(sessions(script, tmp_path)[0])
    predictor.set_image(IMAGE)
    cars, dogs, cats = predictor.find(["car", "dog", "cat"])
    np.testing.assert_allclose(cars.scores, [0.9, 0.6], rtol=1e-5)
    assert cars.masks.shape == (2, *HW)
    assert dogs.masks[0].sum() > cars.masks[1].sum()
    np.testing.assert_allclose(cars.boxes_xyxy[0], [6.4, 9.6, 32, 28.8], rtol=1e-5)
    assert (cars.semantic == cars.masks.any(axis=0)).all()
    assert len(cats) == 0
    assert not cats.semantic.any()
    assert cars.presence == pytest.approx(0.98, abs=1e-5)
    assert cats.presence == pytest.approx(0.05, abs=1e-5)


def test_a_phrase_is_encoded_once_and_an_image_once(script: Script, tmp_path: Path) -> None:
    opened, calls = sessions(script, tmp_path)
    predictor = ConceptPredictor(opened)
    for time in range(2):
        predictor.set_image(IMAGE + time)
        for _ in range(3):
            predictor.find(["car", "dog"])
    predictor.find("dog")
    assert (calls["text_encoder"], calls["image_encoder"]) == (1, 2)
    assert calls["detector"] == calls["mask_head"] == 7


def test_phrases_share_calls_up_to_a_batch(script: Script, tmp_path: Path) -> None:
    opened, calls = sessions(script, tmp_path)
    predictor = ConceptPredictor(opened, ConceptOptions(concept_batch=1))
    predictor.set_image(IMAGE)
    alone = predictor.find(["car", "dog"])
    assert (calls["detector"], calls["text_encoder"]) == (2, 1)
    together = ConceptPredictor(opened)
    together.set_image(IMAGE)
    for one, other in zip(alone, together.find(["car", "dog"]), strict=True):
        np.testing.assert_array_equal(one.masks, other.masks)
        np.testing.assert_array_equal(one.scores, other.scores)
    assert calls["detector"] == 3


def test_an_absent_phrase_costs_no_masks(script: Script, tmp_path: Path) -> None:
    opened, calls = sessions(script, tmp_path)
    predictor = ConceptPredictor(opened)
    predictor.set_image(IMAGE)
    predictor.find("cat")
    assert calls["mask_head"] == 0
    shy = ConceptPredictor(opened, ConceptOptions(min_presence=0.99, min_score=0.1))
    shy.set_image(IMAGE)
    assert len(shy.find("car")[0]) == 0
    assert calls["mask_head"] == 0


def test_an_image_that_was_embedded_before(script: Script, tmp_path: Path) -> None:
    opened, calls = sessions(script, tmp_path)
    predictor = ConceptPredictor(opened)
    kept = predictor.embed(IMAGE)
    predictor.set_image(IMAGE + 1)
    predictor.set_image(kept)
    assert len(predictor.find("car")[0]) == 2
    assert calls["image_encoder"] == 2


EXEMPLAR = Exemplar(Box(1, 2, 20, 30))


@pytest.mark.parametrize(
    ("concepts", "message"),
    [
        ("", "the phrase '' is empty"),
        ("  ", "is empty"),
        ([], "nothing to search for"),
        (["car", "car"], "'car' is given twice"),
        ("car dog cat car dog cat car", "is 7 tokens long; the model reads 4"),
        ("猫 car", "does not read '猫'"),
        (
            Concept(None, (Exemplar(Box(1, 2, 100, 30)),)),
            "exemplar: the box 1,2,100,30 reaches beyond the frame of 64x48",
        ),
    ],
)
def test_what_cannot_be_looked_for_is_said(script: Script, tmp_path: Path, concepts: Any, message: str) -> None:
    opened, calls = sessions(script, tmp_path)
    predictor = ConceptPredictor(opened)
    predictor.set_image(IMAGE)
    with pytest.raises(PromptError, match=message):
        predictor.find(concepts)
    assert calls["detector"] == calls["text_encoder"] == 0


def test_exemplars_without_an_image(script: Script, tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="no image is set"):
        ConceptPredictor(sessions(script, tmp_path)[0]).find(Concept(None, (EXEMPLAR,)))


def test_neither_phrase_nor_exemplar() -> None:
    with pytest.raises(PromptError, match="nothing to search for"):
        Concept()


def test_an_exemplar_takes_no_clicks() -> None:
    from masklet.runtime.prompts.prompts import Points

    with pytest.raises(PromptError, match="a box without points"):
        Exemplar(Box(1, 2, 3, 4, Points.click(2, 3)))


def test_a_model_without_a_detector(script: Script, tmp_path: Path) -> None:
    import msgspec

    plain = msgspec.structs.replace(MODEL, concepts=None)
    with pytest.raises(SpecError, match="has no concept detector"):
        ConceptPredictor(sessions(script, tmp_path, plain)[0])


def test_a_model_without_its_tokenizer(script: Script, tmp_path: Path) -> None:
    opened, _ = sessions(script, tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(BundleError, match="cannot be read as a tokenizer"):
        ConceptPredictor(opened)


def test_exemplars_go_in_as_centers_and_sizes(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, _ = sessions(script, tmp_path)
    fed: dict[str, Any] = {}
    run = opened.run

    def noted(stage: str, feeds: Any) -> Any:
        fed[stage] = feeds
        return run(stage, feeds)

    monkeypatch.setattr(opened, "run", noted)
    predictor = ConceptPredictor(opened)
    predictor.set_image(IMAGE)
    negative = Exemplar(Box(32, 24, 64, 48), positive=False)
    predictor.find([Concept("car", (EXEMPLAR, negative)), Concept("dog")])
    given = fed["geometry_encoder"]
    np.testing.assert_allclose(given["boxes"][0, 0], [10.5 / 64, 16 / 48, 19 / 64, 28 / 48], rtol=1e-6)
    np.testing.assert_allclose(given["boxes"][0, 1], [0.75, 0.75, 0.5, 0.5], rtol=1e-6)
    assert given["box_labels"][0].tolist() == [1, 0]
    assert given["box_valid"].tolist() == [[1, 1], [0, 0]]
    valid = fed["detector"]["prompt_valid"]
    assert valid[:, -1].tolist() == [1, 1]  # the token of all exemplars is always there (sam3_image.py)
    assert valid[:, :6].sum(axis=1).tolist() == [3, 3]  # a start, a word and an end
    predictor.find("car")
    assert fed["geometry_encoder"]["box_valid"].tolist() == [[0]]


# Parity with transformers, random weights


@cache
def tokenizer() -> Any:
    """One for both sides: training breaks ties as it likes, so that a second one may number words otherwise."""
    from sam3_checkpoints import sam3_tokenizer

    return sam3_tokenizer()


@pytest.fixture(scope="module")
def model() -> Any:
    from sam3_checkpoints import random_sam3, video_config

    return random_sam3(video_config())


@pytest.fixture(scope="module")
def tiny(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Sessions:
    """The family's own modules behind sessions, and the tokenizer beside them."""
    from masklet.export.families.sam3 import FAMILY
    from torch_sessions import torch_sessions

    folder = tmp_path_factory.mktemp("tokenizer")
    read = Tokenizer.from_str(tokenizer().backend_tokenizer.to_str())
    read.enable_padding(length=32, pad_id=1)
    read.save(str(folder / "tokenizer.json"))
    return torch_sessions(FAMILY, model, lambda name: folder / name)


BOXES = (Exemplar(Box(10, 20, 60, 50)), Exemplar(Box(40, 10, 90, 70), positive=False))
CASES = {
    "text": [Concept("a red bus")],
    "text and boxes": [Concept("a person", BOXES)],
    "boxes alone": [Concept(None, BOXES[:1])],
    "a batch of phrases": [Concept("car"), Concept("two yellow taxis", BOXES), Concept(None, BOXES[:1])],
}
HIGH = (90, 140)


def post_processed(model: Any, image: Tensor, concept: Concept, threshold: float) -> tuple[Any, ...]:
    """Sam3Model on one concept, then the steps of Meta's Sam3Processor: scores, boxes, masks, presence."""
    from masklet.export.references import sam3_reference

    text = tokenizer()(concept.phrase or "visual", return_tensors="pt", padding="max_length", max_length=32)
    scale = torch.tensor([HIGH[1], HIGH[0]] * 2)
    corners = torch.tensor([[e.box.x0, e.box.y0, e.box.x1, e.box.y1] for e in concept.exemplars]).reshape(-1, 4) / scale
    boxes = torch.cat([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], dim=1)
    labels = torch.tensor([int(e.positive) for e in concept.exemplars])
    if not len(boxes):
        boxes, labels = torch.zeros(1, 4), torch.tensor([-10])  # padding, so that the summary token is there
    detector = model.detector_model
    with torch.inference_mode(), sam3_reference.pooling(detector.geometry_encoder):
        out = detector(
            pixel_values=torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1,
            input_ids=text.input_ids,
            attention_mask=text.attention_mask,
            input_boxes=boxes[None],
            input_boxes_labels=labels[None],
        )
        scores = (out.pred_logits.sigmoid() * out.presence_logits.sigmoid())[0]
        kept = scores > threshold
        masks = torch.nn.functional.interpolate(out.pred_masks[:, kept], size=HIGH, mode="bilinear")
    return scores[kept], out.pred_boxes[0][kept] * scale, masks[0].sigmoid() > 0.5, out.presence_logits.sigmoid()


@pytest.mark.parametrize("case", list(CASES))
def test_an_image_as_transformers_sees_it(tiny: Sessions, model: Any, case: str) -> None:
    from masklet.export.references.sam2_reference import draw_image
    from sam3_checkpoints import SIDE

    square = draw_image(np.random.default_rng(5), (1, SIDE, SIDE, 3))[0]
    options = ConceptOptions(min_score=0.05, min_presence=0.0)
    predictor = ConceptPredictor(tiny, options)
    features = tiny.run("image_encoder", {"image": square[None]})
    predictor.set_image(Embedding(HIGH, features))
    for concept, found in zip(CASES[case], predictor.find(CASES[case]), strict=True):
        scores, boxes, masks, presence = post_processed(model, square, concept, 0.05)
        assert len(found) == len(scores) > 0
        np.testing.assert_allclose(found.scores, scores, rtol=1e-4)
        np.testing.assert_allclose(found.boxes_xyxy, boxes, rtol=1e-4, atol=1e-3)
        assert found.presence == pytest.approx(float(presence), rel=1e-4)
        assert iou(found, masks.numpy()) >= 0.999


def iou(found: Found, masks: Tensor) -> float:
    shared, union = (found.masks & masks).sum(), (found.masks | masks).sum()
    return float(shared / max(1, union))
