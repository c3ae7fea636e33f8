"""How a plan becomes an engine: by which runtime, and with whose weights. TensorRT's classes are stood in for."""

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from engines import VERSION, with_engines
from masklet.runtime.backends.trt import loader as tensorrt_loader
from masklet.runtime.backends.trt.engine_choice import EnginePlan, checked_plan
from masklet.runtime.backends.trt.loader import load_engine
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import SessionError

rtx = pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX is not installed")

PLAN = EnginePlan("mask_decoder", b"plan", VERSION, None)


@dataclass
class StandIn:
    """A TensorRT that notes what it is asked. lean: names of lean runtimes that are installed; fits: as weights do."""

    lean: tuple[str, ...] = ()
    fits: bool = True
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def library(self) -> Any:
        return SimpleNamespace(
            __version__=VERSION,
            ILogger=rtx.ILogger,
            Runtime=self.runtime,
            Refitter=self.refitter,
            OnnxParserRefitter=self.parser,
        )

    def runtime(self, log: object, name: str = "own") -> Any:
        def deserialize(plan: bytes) -> str:
            self.asked.append((name, plan))
            assert made.engine_host_code_allowed is False
            return "the engine"

        def load(path: str) -> Any:
            return self.runtime(log, path) if path in self.lean else None

        made = SimpleNamespace(engine_host_code_allowed=True, deserialize_cuda_engine=deserialize, load_runtime=load)
        return made

    def refitter(self, engine: object, log: object) -> Any:
        def refit() -> bool:
            self.asked.append(("refit", engine))
            return True

        return SimpleNamespace(refit_cuda_engine=refit)

    def parser(self, refitter: object, log: object) -> Any:
        def read(path: str) -> bool:
            self.asked.append(("weights", path))
            return self.fits

        error = SimpleNamespace(desc=lambda: "MatMul_3 has another shape")
        return SimpleNamespace(refit_from_file=read, num_errors=1, get_error=lambda index: error)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = StandIn()
    monkeypatch.setattr(tensorrt_loader, "load_library", lambda backend: made.library())
    return made


def test_an_engine_of_this_release_is_loaded_as_it_is(stand_in: StandIn) -> None:
    load_engine("tensorrt", PLAN)
    assert stand_in.asked == [("own", b"plan")]


def test_an_engine_of_an_earlier_release_takes_its_lean_runtime(stand_in: StandIn) -> None:
    earlier = replace(PLAN, built_with="10.1.0.27")
    with pytest.raises(SessionError, match=r"'mask_decoder'.* lean runtime libnvinfer_lean\.so\.10\.1\.0 is not found"):
        load_engine("tensorrt", earlier)
    stand_in.lean = ("libnvinfer_lean.so.10.1.0",)
    load_engine("tensorrt", earlier)
    assert stand_in.asked == [("libnvinfer_lean.so.10.1.0", b"plan")]


def test_weights_that_were_left_out_come_from_the_graph(stand_in: StandIn, tmp_path: Path) -> None:
    stripped = replace(PLAN, weights=tmp_path / "mask_decoder.onnx")
    load_engine("tensorrt", stripped)
    assert stand_in.asked == [("own", b"plan"), ("weights", str(stripped.weights)), ("refit", "the engine")]
    stand_in.fits = False
    with pytest.raises(SessionError, match=r"weights of mask_decoder.onnx cannot be .*: MatMul_3 has another shape"):
        load_engine("tensorrt", stripped)


def test_the_bundle_says_where_the_weights_are(nano_bundle: Path, tmp_path: Path) -> None:
    plain = Bundle.load(shutil.copytree(nano_bundle, tmp_path / "nano.bundle"))
    for flags, weights in (("strongly typed", None), ("strongly typed, weights stripped", "mask_decoder.onnx")):
        bundle = with_engines(plain, flags=flags)
        engine = next(a for a in bundle.manifest.artifacts if a.built_for and a.stage == "mask_decoder")
        plan = checked_plan(bundle, engine)
        assert (plan.stage, plan.built_with) == ("mask_decoder", VERSION)
        assert (plan.weights and plan.weights.name) == weights
