"""Stand-ins for cameras, clocks and trackers, so that tests of feeds neither sleep nor need a device."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from masklet.runtime.prompts.prompts import Prompt
from masklet.runtime.results import Frame
from masklet.runtime.sources.live import LiveSource, LostError, Picture
from masklet.runtime.sources.source import U8, Cut, Source
from masklet.runtime.tracking.snapshot import TrackerSnapshot
from masklet.runtime.tracking.video_tracker import PendingResult

Step = Picture | None | Exception


def image(shade: int = 0, width: int = 8, height: int = 6) -> U8:
    return np.full((height, width, 3), shade, np.uint8)


def picture(shade: int = 0, time_s: float | None = None, width: int = 8, height: int = 6) -> Picture:
    return Picture(image(shade, width, height), time_s)


class Clock:
    """Seconds that pass only when told to, and by waiting."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now_s += seconds


class FakeDevice:
    """Delivers pictures, None for a corrupt one, raises errors; each takes `step_s` of the clock. Then it is lost."""

    rate = 10.0
    about = "a stand-in"

    def __init__(self, steps: Sequence[Step], clock: Clock, step_s: float = 0.1) -> None:
        self._steps, self._clock, self._step_s = iter(steps), clock, step_s
        self.closed = False

    def read(self) -> Picture | None:
        self._clock.now_s += self._step_s
        step = next(self._steps, LostError("camera: it is gone"))
        if isinstance(step, Exception):
            raise step
        return step

    def close(self) -> None:
        self.closed = True


class FakeCamera:
    """Connects to one device after another; an exception among them is a connection that fails. Then `stop`."""

    def __init__(self, *connections: Sequence[Step] | Exception) -> None:
        self.clock = Clock()
        self.devices: list[FakeDevice] = []
        self._connections = iter(connections)
        self.source: LiveSource | None = None
        self.told: list[tuple[str, str]] = []

    def connect(self) -> FakeDevice:
        steps = next(self._connections, None)
        if steps is None:
            assert self.source is not None
            self.source.stop()
            raise LostError("camera: no more connections")
        if isinstance(steps, Exception):
            raise steps
        self.devices.append(FakeDevice(steps, self.clock))
        return self.devices[-1]

    def open(self, cut: Cut | None = None) -> LiveSource:
        self.source = LiveSource("camera", self.connect, cut or Cut(), clock=self.clock, wait=self.clock.wait)
        self.source.tell = lambda what, detail: self.told.append((what, detail))
        return self.source


class ListSource(Source):
    """Frames from memory; an exception among them is raised in its place."""

    def __init__(self, name: str, items: Sequence[Frame | Exception], *, finite: bool = True) -> None:
        super().__init__(name, Cut(), (6, 8), 10.0, len(items) if finite else None)
        self._items = items

    def __iter__(self) -> Iterator[Frame]:
        for item in self._items:
            if isinstance(item, Exception):
                raise item
            yield item


def frames(count: int) -> list[Frame]:
    return [Frame(n, n / 10, image(n % 256)) for n in range(count)]


class FakeTracker:
    """Notes in `seen` which stream's frames it was given, with their prompts."""

    def __init__(self, name: str = "", seen: list[tuple[str, int]] | None = None, fails_at: int | None = None) -> None:
        self.name, self._fails_at = name, fails_at
        self.seen = [] if seen is None else seen
        self.prompts: dict[int, dict[int, Prompt]] = {}
        self.object_ids: list[int] = []

    def advance(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None) -> list[PendingResult]:
        if frame.index == self._fails_at:
            raise RuntimeError(f"{self.name} failed")
        self.seen.append((self.name, frame.index))
        if prompts:
            self.prompts[frame.index] = dict(prompts)
        return [PendingResult(frame, [], np.zeros((0, 1, 1), np.float32), np.zeros(0, np.float32), False)]

    def late(self) -> list[PendingResult]:
        return []

    def snapshot(self) -> TrackerSnapshot:
        return TrackerSnapshot(len(self.seen) - 1, "sam2", [])
