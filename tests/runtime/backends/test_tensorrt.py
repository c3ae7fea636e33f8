"""The TensorRT backend against ONNX Runtime on the same graphs: a fake GPU and fake engines, true numbers."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engines import VERSION, fake_tensorrt, with_engines
from fake_cuda import FACTS, FakeContext, FakeCuda, FakeEngine, at
from masklet.runtime.backends.gpu.device_array import DeviceArray
from masklet.runtime.backends.gpu.device_session import resident_outputs
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.backends.trt.backend import TensorRt
from masklet.runtime.backends.trt.engine import Context, OpenEngine
from masklet.runtime.backends.trt.engine_choice import EnginePlan
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import SessionError
from masklet.runtime.prompts.prompts import Box, Points, Prompt
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.segmentation.image_predictor import ImagePredictor
from masklet.runtime.startup.engine_check import GraphsOfEngines, require_checked
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker


@pytest.fixture
def bundle(nano_bundle: Path, tmp_path: Path) -> Bundle:
    return with_engines(Bundle.load(shutil.copytree(nano_bundle, tmp_path / "nano.bundle")))


def frames(count: int) -> Iterator[Frame]:
    rng = np.random.default_rng(4)
    still = rng.integers(0, 256, (96, 128, 3), np.uint8)
    for index in range(count):
        yield Frame(index, index / 30, np.roll(still, 3 * index, axis=1))


def track(sessions: Sessions, count: int = 8) -> list[FrameResult]:
    tracker = VideoTracker(sessions, TrackerOptions(fill_hole_area=0))
    results = []
    for frame in frames(count):
        prompts: dict[int, dict[int, Prompt]] = {
            0: {1: Points.click(40, 40), 2: Box(10, 10, 60, 60)},
            4: {3: Points.click(90, 50)},
        }
        results.append(tracker.step(frame, prompts.get(frame.index)))
        if frame.index == 6:
            results.append(tracker.refine(1, Points.click(44, 41)))
    return results


def assert_same(got: list[FrameResult], want: list[FrameResult]) -> None:
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a.object_ids, b.object_ids)
        np.testing.assert_array_equal(a.masks, b.masks)
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-6)


@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize("integrated", [False, True])
def test_tracking_is_that_of_onnx_runtime(bundle: Bundle, graphs: bool, integrated: bool) -> None:
    cuda = FakeCuda(replace(FACTS, integrated=integrated))
    with Sessions.open(bundle, fake_tensorrt(bundle, cuda, graphs=graphs)) as sessions:
        got = track(sessions)
    with Sessions.open(bundle, GraphsOfEngines(threads=1)) as sessions:
        assert_same(got, track(sessions))
    assert (cuda.launches > 0) == graphs
    assert not cuda.blocks
    assert not cuda.pinned
    assert cuda.closed


def test_an_adapter_without_graphs_runs_all_the_same(bundle: Bundle) -> None:
    cuda = FakeCuda(has_graphs=False)
    with Sessions.open(bundle, fake_tensorrt(bundle, cuda, graphs=True)) as sessions:
        assert len(track(sessions, 3)) == 3
    assert cuda.launches == 0


def test_features_and_memories_never_cross(bundle: Bundle) -> None:
    """A tracked frame brings the picture and a few numbers to the device, and masks and scores back."""
    cuda, model = FakeCuda(), bundle.model
    with Sessions.open(bundle, fake_tensorrt(bundle, cuda)) as sessions:
        tracker = VideoTracker(sessions)
        counted = []
        for frame in frames(9):
            cuda.uploaded = cuda.downloaded = 0
            tracker.step(frame, {1: Points.click(40, 40)} if frame.index == 0 else None)
            counted.append((cuda.uploaded, cuda.downloaded))
    side, sizes = model.preprocess.side, {"objects": 1, "points": 2, "memories": 7, "pointers": 8}
    decoder = model.stage("mask_decoder")
    masks = next(t for t in decoder.outputs if t.name == "low_res_mask").nbytes(sizes)
    read = [t for t in decoder.outputs if t.name not in resident_outputs(model, decoder)]
    uploaded, downloaded = counted[-1]
    assert uploaded < side * side * 3 + 2 * masks + 1024  # picture, empty mask prompt, mask to remember, small numbers
    assert downloaded == sum(t.nbytes(sizes) for t in read)
    assert counted[-2][1] == downloaded


def test_what_stays_on_the_device(bundle: Bundle) -> None:
    stays = {stage.name: resident_outputs(bundle.model, stage) for stage in bundle.model.stages}
    assert stays == {
        "image_encoder": {"feat_s0", "feat_s1", "vision_feat"},
        "memory_attention": {"image_embed"},
        "mask_decoder": {"pointer"},
        "memory_encoder": {"new_memory"},
        "mask_prompt_encoder": frozenset(),
    }


def test_device_memory_does_not_grow_with_the_stream(bundle: Bundle) -> None:
    backend = fake_tensorrt(bundle, FakeCuda())
    with Sessions.open(bundle, backend) as sessions:
        tracker = VideoTracker(sessions)
        taken = []
        for frame in frames(28):
            tracker.step(frame, {1: Points.click(40, 40)} if frame.index == 0 else None)
            taken.append(backend.memory.device_bytes)
    assert taken[-1] == taken[22]


def test_images_are_segmented_too(bundle: Bundle) -> None:
    image = next(frames(1)).image
    prompts: list[Prompt] = [Points.click(40, 40), Points.click(80, 30), Box(5, 5, 50, 60)]
    found = []
    for backend in (fake_tensorrt(bundle, FakeCuda()), GraphsOfEngines(threads=1)):
        with Sessions.open(bundle, backend) as sessions:
            predictor = ImagePredictor(sessions)
            predictor.set_image(image)
            found.append(predictor.predict(prompts, choice="all"))
    np.testing.assert_array_equal(found[0].masks, found[1].masks)
    np.testing.assert_allclose(found[0].low_res, found[1].low_res, atol=1e-5)


def test_more_objects_than_an_engine_takes_run_in_parts(bundle: Bundle) -> None:
    only_one = {"objects": (1, 1), "points": (1, 64), "memories": (1, 64), "pointers": (1, 64)}
    ranges = {s.name: [{k: only_one[k] for k in s.symbols()}] for s in bundle.model.stages if s.symbols()}
    with Sessions.open(bundle, fake_tensorrt(bundle, FakeCuda(), ranges=ranges)) as sessions:
        got = track(sessions, 6)
    with Sessions.open(bundle, GraphsOfEngines(threads=1)) as sessions:
        want = track(sessions, 6)
    for a, b in zip(got, want, strict=True):
        assert np.mean(a.masks == b.masks) > 0.999


def test_the_narrow_profile_is_taken_where_it_fits(bundle: Bundle) -> None:
    stage = bundle.model.stage("memory_encoder")
    ranges = {stage.name: [{"objects": (2, 2)}, {"objects": (1, 8)}]}
    backend = fake_tensorrt(bundle, FakeCuda(), ranges=ranges)
    session = backend.open(bundle, stage)
    assert [session._profiles.choose({"objects": n}) for n in (2, 1, 8)] == [0, 1, 1]
    with pytest.raises(SessionError, match=r"built for objects 2-2; objects 1-8, now come objects 9"):
        session._profiles.choose({"objects": 9})


def test_feeds_are_checked_and_a_closed_session_says_so(bundle: Bundle) -> None:
    session = fake_tensorrt(bundle, FakeCuda()).open(bundle, bundle.model.stage("memory_encoder"))
    session.close()
    session.close()
    feeds = {t.name: np.zeros(t.sized({"objects": 1}), t.dtype) for t in session.spec.inputs}
    with pytest.raises(SessionError, match="was closed"):
        session.run(feeds)


def test_outputs_belong_to_the_caller(bundle: Bundle) -> None:
    """Also with CUDA graphs, whose own addresses every replay overwrites."""
    session = fake_tensorrt(bundle, FakeCuda(), graphs=True).open(bundle, bundle.model.stage("image_encoder"))
    shape = session.spec.inputs[0].sized({})
    images = [np.full(shape, value, np.uint8) for value in (0, 90, 180, 90)]
    outputs = [session.run({"image": image})["vision_feat"] for image in images]
    assert isinstance(outputs[0], DeviceArray)
    values = [np.asarray(output) for output in outputs]
    np.testing.assert_array_equal(values[1], values[3])
    assert not np.array_equal(values[0], values[1])
    assert not np.array_equal(values[1], values[2])


def test_running_out_of_memory_says_so(bundle: Bundle) -> None:
    backend = fake_tensorrt(bundle, FakeCuda(limit=1 << 12))
    session = backend.open(bundle, bundle.model.stage("image_encoder"))
    with pytest.raises(SessionError, match="out of GPU memory"):
        session.run({"image": np.zeros(session.spec.inputs[0].sized({}), np.uint8)})


def test_no_tensorrt_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(SessionError, match="tensorrt is not installed; it comes with JetPack"):
        TensorRt("tensorrt")


def feeds_of(bundle: Bundle, stage: str, objects: int) -> dict[str, Tensor]:
    rng = np.random.default_rng(objects)
    return {
        tensor.name: rng.standard_normal(tensor.sized({"objects": objects})).astype(tensor.dtype)
        for tensor in bundle.model.stage(stage).inputs
    }


class Hungry(FakeContext):
    """Needs a megabyte of scratch memory an object."""

    def update_device_memory_size_for_shapes(self) -> int:
        return max(shape[0] for shape in self._shapes.values()) << 20


def test_scratch_memory_is_that_of_the_largest_need(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeEngine, "context", lambda engine: Hungry(engine))
    backend = fake_tensorrt(bundle, FakeCuda())
    session = backend.open(bundle, bundle.model.stage("memory_encoder"))
    for objects in range(1, 9):
        session.run(feeds_of(bundle, "memory_encoder", objects))
        assert backend.memory.device_bytes < 2 * objects << 20


def test_only_the_usual_sizes_are_captured(bundle: Bundle) -> None:
    """Every other size would hold memory of its own for good."""
    cuda, name = FakeCuda(), "memory_encoder"
    ranges = {name: [{"objects": (2, 2)}, {"objects": (1, 8)}]}
    session = fake_tensorrt(bundle, cuda, graphs=True, ranges=ranges).open(bundle, bundle.model.stage(name))
    for objects, launches in ((3, 0), (3, 0), (3, 0), (2, 0), (2, 1), (2, 2), (3, 2)):
        session.run(feeds_of(bundle, name, objects))
        assert cuda.launches == launches


class Busy(FakeCuda):
    """A GPU whose pinned memory somebody takes while a run is captured."""

    stage: Callable[[], object] = staticmethod(lambda: None)

    def capture(self, work: Callable[[], None]) -> int | None:
        self.stage()
        return super().capture(work)


def test_feeds_that_are_read_where_they_are_staged_stay_there_while_a_run_is_captured(bundle: Bundle) -> None:
    cuda, name = Busy(replace(FACTS, integrated=True)), "memory_encoder"
    backend = fake_tensorrt(bundle, cuda, graphs=True)
    feeds = feeds_of(bundle, name, 1)
    session = backend.open(bundle, bundle.model.stage(name))
    cuda.stage = lambda: [backend.memory.upload(np.zeros_like(feed)) for feed in feeds.values()]
    plain, captured = (np.asarray(session.run(feeds)["new_memory"]) for _ in range(2))
    assert cuda.launches == 1
    np.testing.assert_array_equal(captured, plain)


def test_a_backend_whose_last_session_was_closed_says_so(bundle: Bundle) -> None:
    backend, stage = fake_tensorrt(bundle, FakeCuda()), bundle.model.stage("memory_encoder")
    backend.open(bundle, stage).close()
    with pytest.raises(SessionError, match="make a new backend"):
        backend.open(bundle, stage)


def test_stages_that_were_opened_are_closed_where_a_later_one_cannot_be(bundle: Bundle) -> None:
    (bundle.root / f"engines/tensorrt/fake/{bundle.model.stages[-1].name}.engine").write_bytes(b"")
    cuda = FakeCuda()
    with pytest.raises(SessionError, match="is truncated"):
        Sessions.open(bundle, fake_tensorrt(bundle, cuda))
    assert cuda.closed


class Wrong(FakeEngine):
    """An engine whose answers are off: scaled, or not finite."""

    factor = -1.0

    def context(self) -> Context:
        return Scaled(self, self.factor)


class Scaled(FakeContext):
    def __init__(self, engine: FakeEngine, factor: float) -> None:
        super().__init__(engine)
        self._factor = factor

    def execute_async_v3(self, stream_handle: int) -> bool:
        done = super().execute_async_v3(stream_handle)
        for tensor in self._engine.spec.outputs:
            sizes: dict[str, int] = {}
            for given in self._engine.spec.inputs:
                given.bind(self._shapes[given.name], sizes)
            at(self._addresses[tensor.name], tensor.sized(sizes), np.dtype(tensor.dtype))[...] *= self._factor
        return done


def backend_with(bundle: Bundle, wrong: str, factor: float) -> TensorRt:
    """Engines of which one is wrong by a factor."""
    cuda = FakeCuda()

    def load(backend: str, plan: EnginePlan) -> OpenEngine:
        kind = Wrong if plan.stage == wrong else FakeEngine
        engine = kind(cuda, bundle.model.stage(plan.stage), plan.data.decode())
        if isinstance(engine, Wrong):
            engine.factor = factor
        return engine

    return TensorRt(cuda=cuda, load=load, version=lambda backend: VERSION)


def test_good_engines_pass_the_check_once_on_a_machine(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    unrun = with_engines(bundle, check="built, not run")
    opened: list[TensorRt] = []

    def backend() -> TensorRt:
        opened.append(fake_tensorrt(unrun, FakeCuda()))
        return opened[-1]

    said = [require_checked(unrun, "tensorrt", machine, backend) for machine in ("here", "here", "there")]
    assert said[0] is not None
    assert "mask IoU 1.0000" in said[0]
    assert said[1] is None
    assert said[2] == said[0]
    assert len(opened) == 2
    assert require_checked(with_engines(bundle, check="mask IoU 1"), "tensorrt", "elsewhere", backend) is None


@pytest.mark.parametrize(
    ("stage", "factor", "said"),
    [("mask_decoder", -1.0, "in mask_decoder"), ("image_encoder", float("nan"), "NaN or infinity from image_encoder")],
)
def test_engines_that_are_wrong_are_refused_by_name(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, factor: float, said: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    unrun = with_engines(bundle, check="built, not run")
    with pytest.raises(SessionError, match="the engines differ from their graphs") as error:
        require_checked(unrun, "tensorrt", "here", lambda: backend_with(unrun, stage, factor))
    assert said in str(error.value)
    assert not (tmp_path / "cache").exists()
