"""The graph modules of SAM 3 against transformers' own modules: exact rewrites, whatever the configuration."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from masklet.export.families.sam3 import FAMILY, PHRASE_TOKENS, parts_of
from masklet.export.family import Case, ExportStage
from masklet.export.modules.exemplars import RegionPooling
from masklet.export.references.sam3_reference import roi_align
from masklet.runtime.bundle.spec import Tensor
from onnx import TensorProto, helper
from sam3_checkpoints import WIDTH, detector_config, random_sam3, tracker_config, video_config
from torch_sessions import TorchSession

EXACT = 1e-5  # relative, FP32: nothing but the order of sums may differ
DETECTOR = ("text_encoder", "geometry_encoder", "detector", "mask_head")
TRACKER = ("memory_attention", "mask_decoder", "memory_encoder", "mask_prompt_encoder")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def padded() -> Any:
    """10 x 10 cells in windows of 4, and positions that were trained on 4 x 4 patches."""
    return video_config(140)


def deep() -> Any:
    """Global attention first and last, another number of heads, and three blocks in windows of the whole map."""
    config = detector_config()
    backbone = config.vision_config.backbone_config
    backbone.num_hidden_layers, backbone.global_attn_indexes = 5, [0, 4]
    backbone.window_size, backbone.num_attention_heads = 8, 2
    config.detr_decoder_config.num_queries = 7
    return config


CONFIGS: dict[str, Callable[[], Any]] = {
    "detector and tracker": video_config,
    "windows that divide nothing": padded,
    "detector alone": deep,
    "LiteText": lambda: detector_config(lite=True),
    "tracker alone": tracker_config,
}


@pytest.mark.parametrize("config", list(CONFIGS))
def test_stages_are_those_of_transformers(config: str) -> None:
    for stage in FAMILY.stages(random_sam3(CONFIGS[config]())):
        for case in stage.cases[:4]:
            agree(stage, case)


def agree(stage: ExportStage, case: Case) -> None:
    seed = next(s for s in range(50) if stage.decided(stage.reference(stage.feeds(case, s))))
    feeds = stage.feeds(case, seed)
    got, wanted = TorchSession(stage).run(feeds), stage.reference(feeds)
    assert list(got) == [t.name for t in stage.spec.outputs]
    for output, reference in wanted.items():
        assert got[output].shape == reference.shape
        tolerance = 4e-3 if output in stage.rounded else EXACT  # of bfloat16
        difference = np.linalg.norm(got[output].astype(np.float64) - reference)
        assert difference <= tolerance * np.linalg.norm(reference), (stage.spec.name, case.name, output)


def test_a_checkpoint_has_the_stages_of_its_parts() -> None:
    named = {
        name: [stage.name for stage in FAMILY.spec(random_sam3(config())).stages] for name, config in CONFIGS.items()
    }
    assert named["detector and tracker"] == ["image_encoder", *DETECTOR, *TRACKER]
    assert named["detector alone"] == named["LiteText"] == ["image_encoder", *DETECTOR]
    assert named["tracker alone"] == ["image_encoder", *TRACKER]


def test_specs_say_what_a_checkpoint_can_do() -> None:
    configs = (video_config(), detector_config(lite=True), tracker_config())
    both, lite, tracker = (FAMILY.spec(random_sam3(config)) for config in configs)
    assert (both.pipeline, both.variant, both.concepts is not None) == ("video", "custom", True)
    assert (lite.pipeline, lite.variant, lite.memory) == ("image", "custom-litetext-detector", None)
    assert (tracker.pipeline, tracker.variant, tracker.concepts) == ("video", "custom-tracker", None)
    assert both.preprocess.mean == both.preprocess.std == (0.5, 0.5, 0.5)
    assert both.memory is not None
    assert (both.memory.recent_frames, both.memory.prompted_frames, both.memory.pointers) == (6, 4, 16)
    assert both.stage("mask_prompt_encoder").inputs[0].shape == ("objects", 128, 128)  # 16 a cell of 14 px
    assert lite.stage("text_encoder").accepts("text_valid")
    assert not both.stage("text_encoder").accepts("text_valid")


def test_the_trackers_features_are_those_of_the_video_model() -> None:
    """`get_vision_features_for_tracker` itself; the stage's reference takes its steps one by one."""
    model = random_sam3(video_config())
    stage = next(iter(FAMILY.stages(model)))
    feeds = stage.feeds(stage.cases[0], 0)
    got = TorchSession(stage).run(feeds)
    pixels = torch.from_numpy(feeds["image"]).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.inference_mode():
        vision = model.detector_model.get_vision_features(pixels)
        levels, _ = model.get_vision_features_for_tracker(vision)
    for name, level in zip(("feat_s0", "feat_s1", "vision_feat"), levels, strict=True):
        wanted = level.permute(1, 2, 0).numpy().reshape(got[name].shape)
        assert np.linalg.norm(got[name] - wanted) <= EXACT * np.linalg.norm(wanted), name


def stages_of(model: Any) -> dict[str, ExportStage]:
    return {stage.spec.name: stage for stage in FAMILY.stages(model)}


def test_what_comes_after_a_phrase_does_not_reach_it() -> None:
    """SAM 3's text is read forwards: padding needs no mask. With it transformers has the same features."""
    model = random_sam3(detector_config())
    stage = stages_of(model)["text_encoder"]
    feeds = stage.feeds(stage.cases[0], 0)
    mask = (torch.arange(PHRASE_TOKENS) < torch.tensor([[9], [20]])).long()
    with torch.inference_mode():
        text = model.get_text_features(torch.from_numpy(feeds["text_ids"]), mask, return_dict=True).pooler_output
    got = TorchSession(stage).run(feeds)["text_feat"]
    assert np.allclose(got[mask.bool().numpy()], text[mask.bool()].numpy(), atol=1e-5)


def test_padding_of_prompts_and_exemplars_does_not_count() -> None:
    stages = stages_of(random_sam3(detector_config()))
    stage = stages["geometry_encoder"]
    feeds = stage.feeds(Case("", {"phrases": 1, "exemplars": 2}, {"box_valid": 1}), 0)
    alone = TorchSession(stage).run(feeds)
    order = [0, 1, 0, 1]
    more = {**feeds, **{name: feeds[name][:, order] for name in ("boxes", "box_labels", "box_valid")}}
    more["box_valid"][:, [0, 3]] = 0  # what is left are the second and the first
    among = TorchSession(stage).run(more)
    assert np.allclose(among["exemplar_feat"][:, [2, 1]], alone["exemplar_feat"], atol=1e-5)
    assert not among["exemplar_feat"][:, [0, 3]].any()
    assert np.allclose(among["geometry_cls"], alone["geometry_cls"], atol=1e-5)
    stage = stages["detector"]
    feeds = stage.feeds(Case("", {"phrases": 1, "tokens": 6}, {"prompt_valid": 1}), 0)
    order, valid = [5, 5, 0, 4, 1, 2, 3, 0], [0, 1, 1, 1, 1, 1, 1, 0]
    mixed = {**feeds, "prompt": feeds["prompt"][:, order], "prompt_valid": np.array([valid], np.float32)}
    for name, value in TorchSession(stage).run(feeds).items():
        assert np.allclose(TorchSession(stage).run(mixed)[name], value, atol=1e-4), name


def test_phrases_of_a_batch_do_not_touch_each_other() -> None:
    stages = stages_of(random_sam3(detector_config()))
    for name in DETECTOR:
        stage = stages[name]
        feeds = stage.feeds(stage.cases[0], 0)
        together = TorchSession(stage).run(feeds)
        for index in range(2):
            own = {n: f if n.startswith("det_fpn") else f[index : index + 1] for n, f in feeds.items()}
            for output, value in TorchSession(stage).run(own).items():
                assert np.allclose(together[output][index : index + 1], value, rtol=1e-4, atol=1e-4), (name, output)


@pytest.mark.parametrize("grid", [8, 72])
def test_regions_are_pooled_as_onnx_defines_it(grid: int) -> None:
    """RoiAlign of ONNX Runtime, and the formula that stands in for torchvision's; boxes that reach outside as well."""
    rng = np.random.default_rng(grid)
    centre, size = rng.uniform(0, 1, (1, 200, 2)), rng.uniform(0, 1, (1, 200, 2)) ** 2
    corners = np.concatenate([centre - size / 2, centre + size / 2], axis=-1).astype(np.float32)
    corners[0, :3] = np.array([[0, 0, 1, 1], [0.5, 0.5, 0.5, 0.5], [0, 0, 0, 0]])
    features = rng.standard_normal((1, 4, grid, grid), dtype=np.float32)
    got = RegionPooling(grid, 7)(torch.from_numpy(features), torch.from_numpy(corners))[0].numpy()
    assert np.abs(got - onnx_roi_align(features, corners[0] * grid)).max() < 5e-5
    some = torch.from_numpy(corners[0, :20] * grid)
    assert np.abs(got[:20] - roi_align(torch.from_numpy(features), [some], 7).numpy()).max() < 5e-5


BOX = st.tuples(*(st.floats(-0.25, 1.25, width=32) for _ in range(2)), *(st.floats(0, 1, width=32) for _ in range(2)))


@given(BOX)
@settings(max_examples=60, deadline=None)
def test_any_box_is_pooled_as_onnx_defines_it(box: tuple[float, float, float, float]) -> None:
    x, y, width, height = box
    corners = np.array([[[x - width / 2, y - height / 2, x + width / 2, y + height / 2]]], np.float32)
    features = np.random.default_rng(0).standard_normal((1, 2, 9, 9), dtype=np.float32)
    got = RegionPooling(9, 7)(torch.from_numpy(features), torch.from_numpy(corners))[0].numpy()
    wanted = roi_align(torch.from_numpy(features), [torch.from_numpy(corners[0] * 9)], 7).numpy()
    assert np.abs(got - wanted).max() < 1e-3  # a sample at -1 or at the far edge may fall either way


def onnx_roi_align(features: Tensor, boxes: Tensor) -> Tensor:
    """The RoiAlign operator with torchvision's defaults. boxes: [count, 4] in cells of the map."""
    node = helper.make_node(
        "RoiAlign",
        ["x", "boxes", "of"],
        ["y"],
        output_height=7,
        output_width=7,
        sampling_ratio=0,
        spatial_scale=1.0,
        coordinate_transformation_mode="output_half_pixel",
    )
    kinds = {"x": TensorProto.FLOAT, "boxes": TensorProto.FLOAT, "of": TensorProto.INT64}
    inputs = [helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    model = helper.make_model(
        helper.make_graph([node], "g", inputs, [output]), opset_imports=[helper.make_opsetid("", 16)], ir_version=8
    )
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    pooled: Tensor = session.run(None, {"x": features, "boxes": boxes, "of": np.zeros(len(boxes), np.int64)})[0]
    return pooled


def test_parts_share_one_backbone() -> None:
    parts = parts_of(random_sam3(video_config()))
    assert parts.vision is parts.detector.vision_encoder
    assert (parts.side, parts.grid, parts.tracker.hidden_dim) == (112, 8, WIDTH)
