"""Recorded frames for the profile's tests: a clock that is set by hand, and frames with round numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from masklet.profiles.machine.cpu_peaks import Machine
from masklet.profiles.machine.device import Conditions, Gpu
from masklet.profiles.model.graph_cost import GraphCost
from masklet.profiles.model.growth import Growth
from masklet.profiles.model.roofline import roofline
from masklet.profiles.recording.timeline import Call, FrameTimes
from masklet.profiles.report.report import BundleFacts, Measured, Memory, Report, SourceFacts, measurements
from masklet.runtime.backends.session import Feeds
from masklet.runtime.bundle.spec import MemorySpec, ModelSpec, Preprocess, StageSpec, Tensor, TensorSpec
from masklet.runtime.results import Frame, FrameResult

MS = 1_000_000
STAGES = ("image_encoder", "memory_attention", "mask_decoder", "memory_encoder")


class Clock:
    """Nanoseconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns

    def pass_ms(self, ms: float) -> None:
        self.ns += int(ms * MS)


@dataclass
class Slow:
    """A session that doubles its first feed and takes as many milliseconds as it is told."""

    spec: StageSpec
    clock: Clock
    ms: float
    closed: bool = False

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        self.clock.pass_ms(self.ms)
        return {self.spec.outputs[0].name: next(iter(feeds.values())) * 2}

    def close(self) -> None:
        self.closed = True


def stage(name: str) -> StageSpec:
    """A stage with the symbols of a memory attention."""
    return StageSpec(name, (TensorSpec("memory", ("objects", "memories")),), (TensorSpec("feat", ("objects",)),))


def model() -> ModelSpec:
    """A model of the four stages, for frames of 128 px."""
    preprocess = Preprocess(128, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    return ModelSpec("toy", "test", "video", preprocess, tuple(map(stage, STAGES)), memory=MemorySpec(6, 1, 16))


def frame(index: int = 0) -> Frame:
    return Frame(index, index / 30, np.zeros((4, 6, 3), np.uint8))


def result(index: int = 0, objects: int = 2) -> FrameResult:
    return FrameResult(
        index,
        index / 30,
        np.arange(1, objects + 1),
        np.zeros((objects, 4, 6), bool),
        np.zeros((objects, 4), np.float32),
        np.ones(objects, np.float32),
    )


TYPICAL = (40.0, 30.0, 5.0, 4.0)


def times(index: int, stages_ms: Sequence[float] = TYPICAL, *, objects: int = 2, memories: int = 7) -> FrameTimes:
    """A frame that begins at index seconds.

    1 ms capture, 2 preprocess, 3 before each later stage, 4 postprocess, 5 sink.
    """
    asked = index * 1000 * MS
    captured = asked + 1 * MS
    now, calls = captured, []
    for name, ms in zip(STAGES, stages_ms, strict=True):
        began = now + (2 if name == "image_encoder" else 3) * MS
        now = began + int(ms * MS)
        calls.append(Call(name, began, now, _sizes(name, objects, memories)))
    masks = now + 4 * MS
    return FrameTimes(index, asked, captured, masks, masks + 5 * MS, tuple(calls), objects, 100_000_000 + index)


def _sizes(name: str, objects: int, memories: int) -> dict[str, int]:
    if name == "image_encoder":
        return {}
    return {"objects": objects, "memories": memories} if name == "memory_attention" else {"objects": objects}


def report(frames: Sequence[FrameTimes], growth: Growth | None = None, *, peaks: bool = True) -> Report:
    """A report of recorded frames, on a device and of a bundle that are made up."""
    found = measurements(frames, STAGES)
    now = Conditions((0.1, 0.2, 0.3), 2500.0, None, {"cpu": 51.5}, {"VDD_IN": 4.5})
    device = Measured(
        *("Some CPU", 4, 3000.0, "performance", 8000.0, "Some board"),
        *((Gpu("Some GPU", "550", 8000.0, 60.0),), "15W", "Linux 6 aarch64", "3.12.1", {"numpy": "2.0"}),
        before=now,
        after=now,
    )
    costs = {name: GraphCost(2_000_000_000, 50_000_000) for name in STAGES}
    return Report(
        **msgspec.structs.asdict(found),
        device=device,
        bundle=BundleFacts("toy", "test", 128, "a <checkpoint>", "ab" * 32, "some", 2, dict.fromkeys(STAGES, "fp32")),
        source=SourceFacts("clip.mp4", 640, 480, ""),
        warmup=2,
        frames=len(frames),
        memory=Memory(300.0, 100.0, 101.0),
        roofline=roofline(frames, costs, Machine(100.0, 10.0, 2)) if peaks else None,
        growth=growth,
    )
