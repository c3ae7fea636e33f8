"""What is read inside of graphs against transformers' own modules, and that reading it changes nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from calibration_scenes import Scene
from checkpoints import nano_config, random_model
from masklet.calibration.diagnosis.observation import ObservedBundle
from masklet.calibration.diagnosis.observer.inner_tensors import (
    PROMPTED_CELLS,
    InnerTensors,
    put_out_prompted_cells,
)
from masklet.calibration.diagnosis.observer.memory_shares import ASKING_CELLS, MEMORY_SHARES, put_out_memory_shares
from masklet.calibration.diagnosis.observer.observer import Observer
from masklet.calibration.diagnosis.observer.positions import Layout, Position
from masklet.calibration.diagnosis.transformations.true_clip import Shot
from masklet.export.families.sam2 import FAMILY
from masklet.export.family import Case, ExportStage
from masklet.runtime import Bundle, Points, Sessions, VideoTracker, open_source
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.errors import CalibrationError
from masklet.runtime.results import FrameResult
from masklet.runtime.tracking.memory_detail import MemoryDetail
from masklet.runtime.tracking.memory_limits import MemoryLimits
from noise_clip import write_noise

ASKING = [3, 17, 40]


@pytest.fixture(scope="module")
def model() -> Any:
    """The model of `nano_bundle`."""
    return random_model(nano_config())


def stage_of(model: Any, name: str) -> ExportStage:
    return next(stage for stage in FAMILY.stages(model) if stage.spec.name == name)


def test_prompted_cells_are_what_the_references_transformer_returns(model: Any, nano_bundle: Path) -> None:
    stage, bundle = stage_of(model, "mask_decoder"), Bundle.load(nano_bundle)
    flags = {"has_mask": 1, "multimask": 1, "memoryless": 1}
    feeds = stage.feeds(Case("click", {"objects": 1, "points": 2}, {"point_labels": [1, -1], **flags}), 0)
    seen: list[torch.Tensor] = []
    hook = model.mask_decoder.transformer.register_forward_hook(lambda _, given, out: seen.append(out[1]))
    stage.reference(feeds)
    hook.remove()
    found = InnerTensors(1).open(bundle, bundle.model.stage("mask_decoder")).run(feeds)[PROMPTED_CELLS]
    np.testing.assert_allclose(found, seen[-1].reshape(found.shape).numpy(), atol=2e-5)


def test_memory_shares_are_the_references_attention(model: Any, nano_bundle: Path) -> None:
    stage, bundle = stage_of(model, "memory_attention"), Bundle.load(nano_bundle)
    feeds = stage.feeds(Case("", {"objects": 1, "memories": 3, "pointers": 4}), 0)
    seen: list[torch.Tensor] = []
    model.config._attn_implementation = "eager"
    for layer in model.memory_attention.layers:
        layer.cross_attn_image.config._attn_implementation = "eager"
        layer.cross_attn_image.register_forward_hook(lambda _, given, out: seen.append(out[1]))
    stage.reference(feeds)
    weights = torch.stack(seen)[:, 0, :, ASKING].mean(dim=(0, 1, 2)).numpy()  # layers, heads, asking cells
    session = InnerTensors(1, shares=True).open(bundle, bundle.model.stage("memory_attention"))
    found = session.run({**feeds, ASKING_CELLS: np.array(ASKING, np.int64)})[MEMORY_SHARES]
    np.testing.assert_allclose(found.ravel(), weights[: found.size], atol=1e-6)
    assert 1 - found.sum() == pytest.approx(weights[found.size :].sum(), abs=1e-5)


def followed(bundle: Path, clip: Path, points: dict[int, Points], observer: Observer | None) -> list[FrameResult]:
    """A clip's results, observed or not."""
    opened = Bundle.load(bundle)
    backend = OnnxRuntime(1) if observer is None else InnerTensors(1, shares=True)
    with Sessions.open(opened, backend, None if observer is None else observer.wrap) as sessions:
        tracker = VideoTracker(sessions)
        return [tracker.step(frame, points if frame.index == 0 else {}) for frame in open_source(str(clip))]


@pytest.mark.parametrize("name", ["nano_bundle", "edgetam_bundle", "sam3_bundle", "int8_bundle", "fp16_bundle"])
def test_observing_changes_no_mask_and_sees_every_position(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, scenes: list[Scene]
) -> None:
    bundle: Path = request.getfixturevalue(name)
    trained = name in ("int8_bundle", "fp16_bundle")
    clip = scenes[0].frames if trained else write_noise(tmp_path, 5)
    points = {1: Points.click(60, 50)}
    observer = Observer()
    plain, observed = followed(bundle, clip, points, None), followed(bundle, clip, points, observer)
    for one, other in zip(plain, observed, strict=True):
        assert (one.masks == other.masks).mean() > 0.9999
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
    layout = Layout.of(Bundle.load(bundle))
    for position in Position:
        features = layout.features(position, observer.outputs)
        assert features is not None
        assert features.dtype == np.float32
        assert len(features) == np.prod(layout.grid_at(position))
    shares = observer.outputs["memory_attention"][MEMORY_SHARES]
    assert 0 < shares.sum() < 1.0001


@pytest.mark.parametrize("detail", ["whole", "pooled:2", "foveated"])
def test_memories_of_blocks_are_told_apart(detail: str, variants_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(variants_bundle, variant="128-foveated")
    frames = [frame.image for frame in open_source(str(write_noise(tmp_path, 5)))]
    masks = np.zeros((5, *frames[0].shape[:2]), np.bool_)
    masks[:, 20:40, 30:55] = True
    limits = MemoryLimits(detail=MemoryDetail.parse(detail))
    with ObservedBundle(bundle, threads=1, shares=True, limits=limits) as observed:
        shots = [(n, Shot(image, {1: mask})) for n, (image, mask) in enumerate(zip(frames, masks, strict=True))]
        found = observed.follow(shots, {0: {1: Points.click(40, 30)}}, lambda: None).measures[1]
    for number, measures in enumerate(found[1:], start=1):
        assert measures.attention is not None
        assert list(measures.attention.by_frame) == list(range(number))
        assert 0 < measures.attention.on_object < sum(measures.attention.by_frame.values())
        assert sum(measures.attention.by_frame.values()) + measures.attention.pointers == pytest.approx(1, abs=1e-4)
        assert measures.positions["image embedding"].distance is not None


def test_latents_with_a_place_follow_those_without(edgetam_bundle: Path) -> None:
    assert Layout.of(Bundle.load(edgetam_bundle)) == Layout((8, 8), (4, 4), placeless=16)


def test_graphs_that_name_nothing_are_refused(nano_bundle: Path) -> None:
    bundle = Bundle.load(nano_bundle)
    empty = onnx.GraphProto()
    with pytest.raises(CalibrationError, match="no cells of the prompt's attention"):
        put_out_prompted_cells(empty, bundle.model.stage("mask_decoder"))
    with pytest.raises(CalibrationError, match="give --no-attention"):
        put_out_memory_shares(empty, bundle.model.stage("memory_attention"))
