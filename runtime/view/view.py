"""A view of running streams: what `masklet run --view` serves."""

import msgspec
from masklet.runtime.backends.stage_times import StageTimes
from masklet.runtime.bundle.spec import ModelSpec
from masklet.runtime.closing import Closing
from masklet.runtime.view.address import Address
from masklet.runtime.view.live_api import LiveApi
from masklet.runtime.view.memory_use import memory_mb
from masklet.runtime.view.messages import Metrics, State
from masklet.runtime.view.page_server import PageServer
from masklet.runtime.view.shown_frame import ShownFrame
from masklet.runtime.view.watched_stream import WatchedStream

CHART_FRAMES = 48  # whose stages are in one message


class View(Closing):
    """Takes its port at once, and serves from `begin` on, until it is closed.

    times: latencies of stages, put around every session.
    Raises MaskletError where the port cannot be taken.
    """

    def __init__(self, option: str, address: Address, times: StageTimes) -> None:
        self._times = times
        self._streams: dict[int, WatchedStream] = {}
        self._model = self._backend = ""
        self._page = PageServer(option, address, self._newest, lambda: msgspec.json.encode(self._state()))

    def stream(self, number: int) -> WatchedStream:
        """A stream to be viewed; it is a sink."""
        self._streams[number] = WatchedStream(number, self._page.frame_came)
        return self._streams[number]

    def begin(self, model: ModelSpec, backend: str) -> None:
        """Serve, now that every stream is attached. backend: what runs, in words."""
        self._model, self._backend = f"{model.family}/{model.variant}", backend
        self._page.begin(LiveApi(self._streams, self._state, self._page.beside).endpoints())

    @property
    def url(self) -> str:
        """Where the page is, without the token."""
        return self._page.url

    @property
    def private_url(self) -> str:
        """The same with the token, where one is needed: for the user alone, and for no log."""
        return self._page.private_url

    def close(self) -> None:
        """Tell viewers that the run is over, and stop serving."""
        self._page.close()

    def _newest(self) -> dict[int, ShownFrame]:
        return {number: one.newest for number, one in self._streams.items() if one.newest is not None}

    def _state(self) -> State:
        stages = self._times.since(0)[-CHART_FRAMES:]
        rounded = [(number, {name: round(ms, 3) for name, ms in frame.items()}) for number, frame in stages]
        metrics = Metrics(self._backend, self._model, memory_mb(), self._page.viewers, rounded)
        return State([one.state() for one in self._streams.values()], metrics)
