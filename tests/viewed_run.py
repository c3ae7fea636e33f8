"""A run with a view, in this process: a camera that never ends, a tracker, and the server with its API."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.backends.stage_times import StageTimes
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.concepts.concept import Concept
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.concepts.tracker import ConceptTracker
from masklet.runtime.prompts.prompt_book import PromptBook
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sinks.sink import Sinks
from masklet.runtime.sources.source import Cut, Source
from masklet.runtime.streams.frame_queue import Policy
from masklet.runtime.streams.pace import Pace
from masklet.runtime.streams.runner import Runner
from masklet.runtime.streams.steered_tracker import SteeredTracker
from masklet.runtime.streams.stream import Stream
from masklet.runtime.streams.wake_up import WakeUp
from masklet.runtime.tracking.tracker import CorrectableTracker
from masklet.runtime.tracking.video_tracker import VideoTracker
from masklet.runtime.view.address import Address
from masklet.runtime.view.view import View
from masklet.runtime.view.watched_stream import Steering, WatchedStream
from two_discs import two_discs

SIDE = 128
RATE = 20.0


class Camera(Source):
    """Two discs that drift forth and back, at a rate, until it is stopped; or a file of them."""

    def __init__(self, name: str = "camera", *, frames: int | None = None) -> None:
        super().__init__(name, Cut(), (SIDE, SIDE), RATE, frames)
        clip = [frame.image for frame in two_discs(12, SIDE, (30, 40, 18), (96, 90, 22))]
        self._images = [*clip, *clip[-2:0:-1]]
        self._stopped = threading.Event()

    def image(self, index: int) -> Any:
        return self._images[index % len(self._images)]

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while not self._stopped.wait(0 if self.frames else 1 / RATE) and index != self.frames:
            yield Frame(index, index / RATE, self.image(index))
            index += 1

    def stop(self) -> None:
        self._stopped.set()


class Results:
    """A sink that keeps every result."""

    def __init__(self) -> None:
        self.by_frame: dict[int, FrameResult] = {}

    def write(self, frame: Frame, result: FrameResult) -> None:
        self.by_frame[frame.index] = result

    def close(self) -> None: ...


@dataclass
class Run:
    """What is running. url: of the server, without a slash at its end."""

    view: View
    streams: list[Stream]
    watched: list[WatchedStream]
    cameras: list[Camera]
    books: list[PromptBook]
    results: list[Results]

    @property
    def url(self) -> str:
        return self.view.url.rstrip("/")

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Ask the API. body: JSON, or bytes as they are. Returns the status, and the answer's JSON, bytes or None."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, _read(answer)
        except urllib.error.HTTPError as failure:
            return failure.code, _read(failure)

    def wait_for(self, holds: Any, seconds: float = 30.0) -> None:
        """Wait until something holds."""
        until = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < until, "it did not come to hold"
            time.sleep(0.01)


def _read(answer: Any) -> Any:
    raw = answer.read()
    return json.loads(raw) if "json" in (answer.headers.get("content-type") or "") else raw or None


@contextmanager
def viewed_run(
    bundle: Path, *, streams: int = 1, frames: int | None = None, token: str | None = None, paused: bool = False
) -> Iterator[Run]:
    """Run streams with a view. frames: of a file; a camera without an end where None."""
    model = Bundle.load(bundle)
    times = StageTimes()
    view = View("--view", Address("127.0.0.1", 0, token), times)
    wake_up = WakeUp()
    run = Run(view, [], [], [], [], [])
    with view, Sessions.open(model, wrap=times.wrap) as sessions:

        def look_for(concepts: tuple[Concept, ...]) -> CorrectableTracker:
            return ConceptTracker(sessions, concepts, ConceptOptions.of(0.1, 0)) if concepts else VideoTracker(sessions)

        finds = model.model.concepts is not None
        for number in range(1, streams + 1):
            camera, book, results = Camera(f"camera {number}", frames=frames), PromptBook({}, exact=False), Results()
            pace = None if frames is None else Pace(wake_up, RATE, paused=paused)
            on_asked = wake_up.set if pace is None else pace.step
            tracker = SteeredTracker(VideoTracker(sessions), book, look_for if finds else None, on_asked)
            watched = view.stream(number)
            policy = Policy.NEWEST if frames is None else Policy.EVERY
            stream = Stream(number, camera, tracker, book, Sinks([watched, results]), policy, wake_up, pace=pace)
            watched.attach(Steering(stream, tracker, book, pace), () if finds else None)
            for kept, one in zip(
                (run.streams, run.watched, run.cameras, run.books, run.results),
                (stream, watched, camera, book, results),
                strict=True,
            ):
                kept.append(one)  # type: ignore[attr-defined]
        view.begin(model.model, "onnxruntime")
        runner = Runner(run.streams, wake_up)
        runner.start()
        try:
            run.wait_for(lambda: all(one.newest for one in run.watched))
            yield run
        finally:
            runner.stop()
            runner.wait(30)
