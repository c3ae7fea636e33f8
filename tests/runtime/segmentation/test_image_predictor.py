"""ImagePredictor against transformers' own image model, and its rules one by one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import PromptPolicy
from masklet.runtime.errors import PromptError, SourceError, SpecError
from masklet.runtime.prompts.prompts import Box, Mask, Points, Prompt
from masklet.runtime.segmentation.candidates import choose
from masklet.runtime.segmentation.image_predictor import ImagePredictor
from transformers import Sam2Model

SIDE = 128
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def sessions(nano_bundle: Path) -> Sessions:
    return Sessions.open(Bundle.load(nano_bundle))


@pytest.fixture
def predictor(sessions: Sessions) -> ImagePredictor:
    return ImagePredictor(sessions, batch=2)


@pytest.fixture(scope="module")
def image() -> Any:
    rng = np.random.default_rng(3)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 6, 6)))
    smooth = torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic")
    return smooth[0].permute(1, 2, 0).clamp(0, 255).numpy().astype(np.uint8)


@pytest.fixture(scope="module")
def reference(nano_checkpoint: Path) -> Any:
    return Sam2Model.from_pretrained(nano_checkpoint).eval()


def forward(reference: Any, image: Any, *, many: bool, **prompts: Any) -> Any:
    pixels = ((torch.from_numpy(image) / 255.0 - MEAN) / STD).permute(2, 0, 1)[None]
    with torch.inference_mode():
        return reference(pixel_values=pixels, multimask_output=many, **prompts)


PROMPTS: dict[str, tuple[Prompt, dict[str, Any]]] = {
    "click": (
        Points.click(40, 70),
        {"input_points": torch.tensor([[[[40.0, 70.0]]]]), "input_labels": torch.tensor([[[1]]])},
    ),
    "three clicks": (
        Points(np.array([[40, 70], [10, 12], [90, 100]], np.float32), np.array([1, 0, 1])),
        {
            "input_points": torch.tensor([[[[40.0, 70.0], [10.0, 12.0], [90.0, 100.0]]]]),
            "input_labels": torch.tensor([[[1, 0, 1]]]),
        },
    ),
    "box": (Box(10, 20, 90, 110), {"input_boxes": torch.tensor([[[10.0, 20.0, 90.0, 110.0]]])}),
}


@pytest.mark.parametrize("name", list(PROMPTS))
@pytest.mark.parametrize("many", [False, True])
def test_candidates_are_those_of_transformers(
    predictor: ImagePredictor, reference: Any, image: Any, name: str, many: bool
) -> None:
    prompt, given = PROMPTS[name]
    wanted = forward(reference, image, many=many, **given)
    predictor.set_image(image)
    got = predictor.predict(prompt, choice="all" if many else "single")
    want = wanted.pred_masks[0].numpy()
    assert np.linalg.norm(got.low_res - want) <= 1e-4 * np.linalg.norm(want)
    np.testing.assert_allclose(got.scores, wanted.iou_scores[0].numpy(), atol=1e-4)


def test_earlier_logits_refine_as_in_transformers(predictor: ImagePredictor, reference: Any, image: Any) -> None:
    prompt, given = PROMPTS["three clicks"]
    predictor.set_image(image)
    first = predictor.predict(PROMPTS["click"][0], choice="best")
    refined = predictor.predict(prompt, choice="all", earlier=first.low_res[:, 0])
    mask = torch.from_numpy(first.low_res.clip(-32, 32))
    want = forward(reference, image, many=True, input_masks=mask, **given).pred_masks[0].numpy()
    assert np.linalg.norm(refined.low_res - want) <= 1e-4 * np.linalg.norm(want)
    plain = predictor.predict(prompt, choice="all")
    assert not np.allclose(plain.low_res, refined.low_res, atol=1e-2)


def test_a_batch_is_its_prompts_one_by_one(predictor: ImagePredictor, image: Any) -> None:
    prompts = [prompt for prompt, _ in PROMPTS.values()] + [Box(5, 5, 30, 40), Points.click(3, 4)]
    predictor.set_image(image)
    together = predictor.predict(prompts, logits=True)
    assert together.logits is not None
    for index, prompt in enumerate(prompts):
        alone = predictor.predict(prompt)
        np.testing.assert_allclose(together.low_res[index], alone.low_res[0], rtol=1e-3, atol=1e-4)
    assert np.array_equal(together.logits > 0, together.masks)
    assert together.masks.shape == (5, 1, SIDE, SIDE)


def test_a_click_is_ambiguous_and_a_box_is_not(predictor: ImagePredictor, image: Any) -> None:
    predictor.set_image(image)
    for name, choice in (("click", "best"), ("box", "single"), ("three clicks", "single")):
        prompt = PROMPTS[name][0]
        assert np.array_equal(predictor.predict(prompt).masks, predictor.predict(prompt, choice=choice).masks), name  # type: ignore[arg-type]


def test_the_encoder_runs_once_for_an_image(nano_bundle: Path, image: Any) -> None:
    calls: list[str] = []

    class Counted:
        def __init__(self, inner: Any) -> None:
            self.inner, self.spec = inner, inner.spec

        def run(self, feeds: Any) -> Any:
            calls.append(self.spec.name)
            return self.inner.run(feeds)

        def close(self) -> None:
            self.inner.close()

    predictor = ImagePredictor(Sessions.open(Bundle.load(nano_bundle), wrap=Counted))
    predictor.set_image(image)
    for x in (10, 20, 30):
        predictor.predict(Points.click(x, 9))
    assert calls == ["image_encoder", *["mask_decoder"] * 3]


def test_images_of_any_size_in_a_batch_and_embeddings_used_again(predictor: ImagePredictor, image: Any) -> None:
    wide = np.repeat(np.repeat(image, 2, axis=1), 3, axis=0)[:300]
    kept = predictor.embed(image)
    found = list(predictor.predict_each([wide, kept, image], [[Points.click(200, 250)], *[[Box(1, 2, 60, 70)]] * 2]))
    assert [f.masks.shape[2:] for f in found] == [wide.shape[:2], (SIDE, SIDE), (SIDE, SIDE)]
    assert np.array_equal(found[1].low_res, found[2].low_res)


def test_a_mask_prompt_is_seen(predictor: ImagePredictor, image: Any) -> None:
    predictor.set_image(image)
    masks = np.zeros((2, SIDE, SIDE), bool)
    masks[0, :40, :60], masks[1, 70:, 70:] = True, True
    first, second = predictor.predict([Mask(masks[0]), Mask(masks[1])], choice="single").low_res
    assert not np.allclose(first, second, atol=1e-2)


def test_an_unstable_single_mask_gives_way_to_the_best() -> None:
    """mask_decoder.py 149: |logits > 0.05| / |logits > -0.05| below 0.98."""
    masks = np.full((2, 4, 10, 10), -5, np.float32)
    masks[:, 0, :5] = 3
    masks[1, 0, 5, :2] = 0.01  # 50 of 52 pixels are sure: 0.96
    ious = np.array([[0.9, 0.1, 0.7, 0.3]] * 2, np.float32)
    _, scores = choose(masks, ious, ["single"] * 2, PromptPolicy())
    assert scores[:, 0].tolist() == pytest.approx([0.9, 0.7])
    _, never = choose(masks, ious, ["single"] * 2, PromptPolicy(stability_threshold=0))
    assert never[:, 0].tolist() == pytest.approx([0.9, 0.9])
    empty = np.full((1, 4, 4, 4), -5, np.float32)
    assert choose(empty, ious[:1], ["single"], PromptPolicy())[1].item() == pytest.approx(0.9)


@pytest.mark.parametrize("hw", [(1, 1), (1, 20_000), (3, 2)])
def test_images_of_odd_sizes(predictor: ImagePredictor, hw: tuple[int, int]) -> None:
    predictor.set_image(np.full((*hw, 3), 90, np.uint8))
    assert predictor.predict(Points.click(0.5, 0.5)).masks.shape == (1, 1, *hw)


def test_bad_input_is_named(predictor: ImagePredictor, sessions: Sessions, image: Any) -> None:
    with pytest.raises(PromptError, match=r"no image is set; call set_image\(\) first"):
        predictor.predict(Points.click(1, 1))
    for array in (image[..., 0], image.astype(np.float32), image[:0], np.zeros((4, 4, 4), np.uint8)):
        with pytest.raises(SourceError, match=r"uint8\[H, W, 3\]"):
            predictor.set_image(array)
    predictor.set_image(image)
    with pytest.raises(PromptError, match="outside the frame of 128x128"):
        predictor.predict(Points.click(500, 1))
    with pytest.raises(PromptError, match="at least one prompt"):
        predictor.predict([])
    with pytest.raises(
        PromptError, match=r"earlier logits: expected float32\[1, 32, 32\], got float32\[1, 1, 32, 32\]"
    ):
        predictor.predict(Points.click(1, 1), earlier=np.zeros((1, 1, 32, 32), np.float32))
    big = np.zeros((2000, 2000), bool)
    big[0, 0] = True
    predictor.set_image(np.zeros((2000, 2000, 3), np.uint8))
    with pytest.raises(PromptError, match="a mask of 1 pixels is empty at the model's 128 x 128"):
        predictor.predict(Mask(big))
    blind = Sessions(type(sessions.model)("f", "v", "image", sessions.model.preprocess, ()), {})
    with pytest.raises(SpecError, match="f/v has no image_encoder"):
        ImagePredictor(blind)
