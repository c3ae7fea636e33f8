"""The check of engines against their graphs reaches every stage, also those that no mask speaks for."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from declared import DeclaredSession
from engines import fake_tensorrt, with_engines
from fake_cuda import FakeCuda
from masklet.export.pipeline import export_bundle
from masklet.runtime.backends.session import Feeds, Session, SessionAround
from masklet.runtime.backends.trt.backend import TensorRt
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.errors import SessionError
from masklet.runtime.startup.engine_check import ComparedSession, EngineCheck, check_engines
from poisoned import Poisoned
from sam3_checkpoints import detector_config, random_sam3, save_sam3

CONCEPTS = {"text_encoder", "geometry_encoder", "detector", "mask_head"}


@pytest.fixture(params=["nano_bundle", "sam_bundle", "sam3_bundle", "sam3_detector_bundle"])
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Bundle:
    folder: Path = request.getfixturevalue(request.param)
    return with_engines(Bundle.load(shutil.copytree(folder, tmp_path / "some.bundle")))


@pytest.fixture(scope="module")
def sam3_detector_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a SAM 3 LiteText, which has a detector alone."""
    checkpoint = save_sam3(random_sam3(detector_config(lite=True)), tmp_path_factory.mktemp("detector") / "lite")
    path = checkpoint.parent / "lite.bundle"
    export_bundle(str(checkpoint), path)
    return path


class Scaled(SessionAround):
    """An engine whose answers are off by a factor."""

    def __init__(self, session: Session, factor: float) -> None:
        super().__init__(session)
        self._factor = factor

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        return {name: value * self._factor for name, value in super().run(feeds).items()}


class OneWrong:
    """Engines of which one is wrong. spoil: what goes around its session."""

    def __init__(self, engines: TensorRt, stage: str, spoil: Callable[[Session], Session]) -> None:
        self._engines, self._stage, self._spoil = engines, stage, spoil
        self.artifact = engines.artifact

    def open(self, bundle: Bundle, stage: StageSpec) -> Session:
        session = self._engines.open(bundle, stage)
        return self._spoil(session) if stage.name == self._stage else session


def test_every_stage_is_run(bundle: Bundle) -> None:
    found = check_engines(bundle, fake_tensorrt(bundle, FakeCuda()))
    assert found.passed, str(found)
    assert set(found.relative) == {stage.name for stage in bundle.model.stages}
    assert not found.not_run
    has_masks = any(stage.name == "mask_decoder" for stage in bundle.model.stages)
    assert (found.iou is None) == (not has_masks)
    assert found.maskless == set(found.relative) - (set() if not has_masks else set(found.relative) - CONCEPTS)


@pytest.mark.parametrize(
    ("stage", "factor"),
    [("text_encoder", float("nan")), ("geometry_encoder", 1.5), ("detector", 1.5), ("mask_head", 1.5)],
)
def test_a_stage_without_masks_is_judged(sam3_bundle: Path, tmp_path: Path, stage: str, factor: float) -> None:
    bundle = with_engines(Bundle.load(shutil.copytree(sam3_bundle, tmp_path / "sam3.bundle")))
    engines = OneWrong(fake_tensorrt(bundle, FakeCuda()), stage, lambda session: Scaled(session, factor))
    found = check_engines(bundle, engines)
    assert not found.passed
    assert stage in str(found)


@pytest.mark.parametrize("stage", ["image_encoder", "memory_encoder", "mask_head"])
def test_not_a_number_that_comes_once_is_found(sam3_bundle: Path, tmp_path: Path, stage: str) -> None:
    bundle = with_engines(Bundle.load(shutil.copytree(sam3_bundle, tmp_path / "sam3.bundle")))
    output = bundle.model.stage(stage).outputs[-1].name
    spoil = partial(Poisoned, output=output, first_only=True)
    found = check_engines(bundle, OneWrong(fake_tensorrt(bundle, FakeCuda()), stage, spoil), frames=2)
    assert not found.passed
    assert found.nonfinite == {stage}
    assert f"NaN or infinity from {stage}" in str(found)


def test_not_a_number_in_any_output_of_any_stage_is_found(bundle: Bundle) -> None:
    for stage in bundle.model.stages:
        feeds = {t.name: np.ones(t.sized(dict.fromkeys(stage.symbols(), 2)), t.dtype) for t in stage.inputs}
        for tensor in stage.outputs:
            found = EngineCheck(iou=1.0)
            engine = Poisoned(DeclaredSession(stage), tensor.name, first_only=True)
            compared = ComparedSession(DeclaredSession(stage), engine, found)
            compared.run(feeds)
            compared.run(feeds)
            assert found.nonfinite == {stage.name}, tensor.name
            assert not found.passed


def test_engines_that_were_opened_are_closed_where_one_cannot_be(nano_bundle: Path, tmp_path: Path) -> None:
    bundle = with_engines(Bundle.load(shutil.copytree(nano_bundle, tmp_path / "nano.bundle")))
    (bundle.root / "engines/tensorrt/fake/mask_decoder.engine").write_bytes(b"cut")
    cuda = FakeCuda()
    with pytest.raises(SessionError, match="truncated"):
        check_engines(bundle, fake_tensorrt(bundle, cuda))
    assert cuda.closed
