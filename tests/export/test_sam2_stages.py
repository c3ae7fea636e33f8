"""The graph modules of SAM 2 against transformers' own modules: exact rewrites, whatever the configuration."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import NANO_BACKBONE, SIZES, nano_config, random_model, sam2_config
from masklet.export import candidate_pointers
from masklet.export.families.sam2 import FAMILY
from masklet.export.family import Case, ExportStage, Feeds
from masklet.runtime.bundle.spec import Tensor

EXACT = 1e-5  # relative, FP32: nothing but the order of sums may differ


def stage_of(model: Any, name: str) -> ExportStage:
    return next(stage for stage in FAMILY.stages(model) if stage.spec.name == name)


def run(stage: ExportStage, feeds: Feeds) -> dict[str, Tensor]:
    with torch.inference_mode():
        outputs = stage.module.eval()(**{name: torch.from_numpy(feed) for name, feed in feeds.items()})
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return {t.name: o.numpy() for t, o in zip(stage.spec.outputs, outputs, strict=True)}


def agree(stage: ExportStage, case: Case, seed: int = 0, tolerance: float = EXACT) -> None:
    feeds = stage.feeds(case, seed)
    got, wanted = run(stage, feeds), stage.reference(feeds)
    for name, reference in wanted.items():
        difference = np.linalg.norm((got[name].astype(np.float64) - reference).ravel())
        assert got[name].shape == reference.shape, name
        assert difference <= tolerance * np.linalg.norm(reference.astype(np.float64).ravel()), name


def reduced(size: str) -> dict[str, Any]:
    """A published backbone with one or two blocks a stage: its widths, heads, windows and window changes."""
    return {**SIZES[size], "blocks_per_stage": [1, 1, 3, 1], "global_attention_blocks": [3]}


@pytest.mark.parametrize("side", [512, 1024])
@pytest.mark.parametrize("size", list(SIZES))
def test_image_encoder_of_every_size(size: str, side: int) -> None:
    if side == 1024 and size == "small":
        pytest.skip("small is tiny with more blocks, which this test leaves out")
    model = random_model(sam2_config(reduced(size), side=side))
    agree(stage_of(model, "image_encoder"), Case("image"))


@pytest.mark.parametrize(
    "changes",
    [
        {"window_size_per_stage": [8, 4, 6, 3]},  # windows that divide no map
        {"window_size_per_stage": [4, 8, 4, 8]},  # windows that change otherwise than by pooling
        {"blocks_per_stage": [2, 2, 2, 2], "global_attention_blocks": [0, 1, 3, 5, 7]},
        {"global_attention_blocks": []},
    ],
    ids=["padded", "retiled", "global from the start", "all windows"],
)
def test_image_encoder_of_unusual_layouts(changes: dict[str, Any]) -> None:
    """Not a block that pools and attends globally: the reference cannot do that either."""
    model = random_model(nano_config(backbone={**NANO_BACKBONE, **changes}))
    agree(stage_of(model, "image_encoder"), Case("image"))


def test_borders_of_a_black_image_know_the_mean_that_is_not_there() -> None:
    """The patch embedding pads with zeros after the mean was taken off, so black is not the same at the border."""
    model = random_model(nano_config())
    for level in (0, 255):
        agree(stage_of(model, "image_encoder"), Case("flat", fixed={"image": level}))


ATTENTION: dict[str, Callable[[], Any]] = {
    "2.1": nano_config,
    "2.0": lambda: nano_config(version="2.0"),
    "256 px": lambda: nano_config(side=256),
    "2 heads": lambda: nano_config(memory_attention_num_attention_heads=2),
    "half width": lambda: nano_config(memory_attention_downsample_rate=2),
    "short memory": lambda: nano_config(num_maskmem=3, max_object_pointers_in_encoder=4),
    "gelu": lambda: nano_config(memory_attention_feed_forward_hidden_act="gelu"),
}


@pytest.mark.parametrize("config", list(ATTENTION))
def test_memory_attention(config: str) -> None:
    stage = stage_of(random_model(ATTENTION[config]()), "memory_attention")
    for objects, memories, pointers in ((1, 1, 1), (1, 7, 16), (3, 2, 5)):
        agree(stage, Case("", {"objects": objects, "memories": memories, "pointers": pointers}))


DECODER: dict[str, Callable[[], Any]] = {
    "2.1": nano_config,
    "256 px": lambda: nano_config(side=256),
    "no fallback": lambda: nano_config(dynamic_multimask_via_stability=False),
    "always unstable": lambda: nano_config(dynamic_multimask_stability_thresh=1.1),
    "always stable": lambda: nano_config(dynamic_multimask_stability_thresh=-1.0),
}


@pytest.mark.parametrize("config", list(DECODER))
def test_mask_decoder(config: str) -> None:
    stage = stage_of(random_model(DECODER[config]()), "mask_decoder")
    for case in stage.cases:
        seed = next(s for s in range(50) if stage.decided(stage.reference(stage.feeds(case, s))))
        agree(stage, case, seed)


def test_candidate_pointers_are_those_of_the_tokens_and_leave_the_rest_alone() -> None:
    """Of the candidate that is taken where the object is visible, the very pointer."""
    model = random_model(nano_config())
    plain, stage = stage_of(model, "mask_decoder"), candidate_pointers.add(stage_of(model, "mask_decoder"))
    assert candidate_pointers.are_in(candidate_pointers.declare(FAMILY.spec(model)))
    assert not candidate_pointers.are_in(FAMILY.spec(model))
    for case in stage.cases:
        seed = next(s for s in range(50) if stage.decided(stage.reference(stage.feeds(case, s))))
        agree(stage, case, seed)
        feeds = stage.feeds(case, seed)
        got = run(stage, feeds)
        assert all((got[name] == value).all() for name, value in run(plain, feeds).items())
        best = 1 + got["candidate_ious"][:, 1:].argmax(axis=1)
        for row, multimask in enumerate(feeds["multimask"]):
            if got["object_score"][row] > 0:
                taken = got["candidate_pointers"][row, best[row] if multimask else 0]
                np.testing.assert_allclose(taken, got["pointer"][row], rtol=1e-5, atol=1e-6)


def test_single_mask_falls_back_where_it_is_unstable_and_keeps_its_own_pointer() -> None:
    """mask_decoder.py 149: the mask of the best of three, and still the token of the single one."""
    single = {"point_labels": [1, 0, 1, -1], "has_mask": 0, "multimask": 0, "memoryless": 1}
    case = Case("", {"objects": 1, "points": 4}, single)
    several = Case("", case.sizes, {**single, "multimask": 1})
    for threshold, falls_back in ((1.1, True), (-1.0, False)):
        stage = stage_of(random_model(nano_config(dynamic_multimask_stability_thresh=threshold)), "mask_decoder")
        alone, best = run(stage, stage.feeds(case, 0)), run(stage, stage.feeds(several, 0))
        assert np.array_equal(alone["low_res_mask"], best["low_res_mask"]) == falls_back
        assert not np.allclose(alone["pointer"], best["pointer"])


def test_absent_object_has_no_mask_and_the_pointer_that_says_so() -> None:
    model = random_model(nano_config())
    model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(-3.0)
    stage = stage_of(model, "mask_decoder")
    agree(stage, stage.cases[0])
    outputs = run(stage, stage.feeds(stage.cases[0], 0))
    assert (outputs["low_res_mask"] == -1024).all()
    assert np.array_equal(outputs["pointer"], np.repeat(model.no_object_pointer.numpy(), 2, axis=0))
    assert (outputs["candidate_masks"] > -1024).all()


def test_objects_of_a_batch_do_not_touch_each_other() -> None:
    stage = stage_of(random_model(nano_config()), "mask_decoder")
    feeds = stage.feeds(stage.cases[0], 0)
    shared = ("feat_s0", "feat_s1")
    for index in range(2):
        alone = run(stage, {n: f if n in shared else f[index : index + 1] for n, f in feeds.items()})
        for name, value in run(stage, feeds).items():
            assert np.allclose(value[index : index + 1], alone[name], rtol=1e-4, atol=1e-5), name


def test_points_that_are_none_have_no_place() -> None:
    stage = stage_of(random_model(nano_config()), "mask_decoder")
    case = stage.cases[2]
    feeds = stage.feeds(case, 0)
    elsewhere = {**feeds, "point_coords": feeds["point_coords"] * 0}
    assert case.fixed["point_labels"] == [-1, -1]
    for name, value in run(stage, feeds).items():
        assert np.array_equal(value, run(stage, elsewhere)[name]), name


@pytest.mark.parametrize("version", ["2.0", "2.1"])
@pytest.mark.parametrize("hard", [False, True])
def test_memory_encoder_equals_the_reference_bit_for_bit_almost_everywhere(version: str, hard: bool) -> None:
    """Against `_encode_new_memory` itself, which rounds to bfloat16: a value on the edge may fall either way."""
    model = random_model(nano_config(version=version))
    stage = stage_of(model, "memory_encoder")
    feeds = stage.feeds(Case("", {"objects": 2}, {"binarize": hard, "object_score": [[-2], [3]]}), 0)
    low, vision = torch.from_numpy(feeds["low_res_mask"]), torch.from_numpy(feeds["vision_feat"])
    high = torch.nn.functional.interpolate(low, size=(128, 128), mode="bilinear", align_corners=False)
    score = torch.tensor([[[-2.0]], [[3.0]]])
    with torch.inference_mode():
        memory, _ = model._encode_new_memory(vision.flatten(2).permute(2, 0, 1).expand(-1, 2, -1), high, score, hard)
    wanted = memory.float().permute(1, 0, 2).numpy()
    same = run(stage, feeds)["new_memory"] == wanted
    assert same.mean() > 0.999


@pytest.mark.parametrize("side", [128, 512])
def test_mask_prompt(side: int) -> None:
    stage = stage_of(random_model(nano_config(side=side)), "mask_prompt_encoder")
    for case in stage.cases:
        agree(stage, case)


def test_versions_differ_by_two_inputs() -> None:
    new, old = (FAMILY.spec(random_model(nano_config(version=v))) for v in ("2.1", "2.0"))
    assert new.stage("memory_attention").accepts("pointer_time")
    assert new.stage("memory_encoder").accepts("object_score")
    assert not old.stage("memory_attention").accepts("pointer_time")
    assert not old.stage("memory_encoder").accepts("object_score")


def test_variants_are_named_after_the_published_sizes() -> None:
    class Empty:
        def __init__(self, config: Any) -> None:
            self.config = config

    named = {size: FAMILY.spec(Empty(sam2_config(SIZES[size]))).variant for size in SIZES}
    assert named == {size: f"2.1-hiera-{size}" for size in SIZES}
    assert FAMILY.spec(Empty(nano_config(version="2.0"))).variant == "2.0-hiera-custom"


def test_unlimited_prompted_frames_are_limited() -> None:
    class Empty:
        def __init__(self, **changes: Any) -> None:
            self.config = nano_config(**changes)

    for limit, kept in ((-1, 8), (4, 4)):
        memory = FAMILY.spec(Empty(max_cond_frame_num=limit)).memory
        assert memory is not None
        assert (memory.recent_frames, memory.prompted_frames, memory.pointers) == (6, kept, 16)
