"""A view of running streams: what `masklet run --view` serves."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import msgspec
from masklet.runtime.backends.stage_times import StageTimes
from masklet.runtime.bundle.spec import ModelSpec
from masklet.runtime.closing import Closing
from masklet.runtime.view.address import Address
from masklet.runtime.view.app import build_app
from masklet.runtime.view.guard import PROTOCOL
from masklet.runtime.view.live_api import LiveApi
from masklet.runtime.view.messages import Metrics, State
from masklet.runtime.view.server import Server, listen
from masklet.runtime.view.shown_frame import ShownFrame
from masklet.runtime.view.viewer import GOING_AWAY, Viewer
from masklet.runtime.view.watched_stream import WatchedStream
from starlette.websockets import WebSocket

FASTEST_S = 1 / 30  # between two frames to one viewer
FRAMES_S = 90  # a second to all viewers together: more of them get fewer each
MOST_VIEWERS = 256
LEAVE_S = 1.0  # how long viewers have to hear that the run is over
CHART_FRAMES = 48  # whose stages are in one message
TRY_AGAIN_LATER = 1013


class View(Closing):
    """Takes its port at once, and serves from `begin` on, until it is closed.

    times: put around every session, for the latencies of stages.
    Raises MaskletError where the port cannot be taken.
    """

    def __init__(self, option: str, address: Address) -> None:
        self._address, self._listening = address, listen(option, address)
        self.times = StageTimes()
        self._streams: dict[int, WatchedStream] = {}
        self._viewers: set[Viewer] = set()
        self._encoder = ThreadPoolExecutor(1, "view encoder")
        self._server: Server | None = None
        self._model = self._backend = ""
        self._state_made: tuple[float, bytes] = (0.0, b"")

    def stream(self, number: int) -> WatchedStream:
        """A stream to be viewed; it is a sink."""
        self._streams[number] = WatchedStream(number, self._frame_came)
        return self._streams[number]

    def begin(self, model: ModelSpec, backend: str) -> None:
        """Serve, now that every stream is attached."""
        self._model, self._backend = f"{model.family}/{model.variant}", backend
        api = LiveApi(self._streams, self._state, self._beside)
        app = build_app(api.endpoints(), self._socket, self._address.token, version("masklet"))
        self._server = Server(app, self._listening)

    @property
    def url(self) -> str:
        """Where the page is, without the token."""
        port = self._listening.getsockname()[1]
        return f"http://{self._address.shown_host}:{port}/"

    @property
    def private_url(self) -> str:
        """The same with the token, where one is needed: for the user alone, and for no log."""
        token = self._address.token
        return self.url if token is None else f"{self.url}#token={token}"

    def close(self) -> None:
        """Tell viewers that the run is over, and stop serving."""
        server, self._server = self._server, None
        if server is None:
            self._listening.close()
            return
        asyncio.run_coroutine_threadsafe(self._say_goodbye(), server.loop).result(2 * LEAVE_S)
        server.close()
        self._encoder.shutdown()

    async def _socket(self, socket: WebSocket) -> None:
        """Serve a viewer."""
        await socket.accept(PROTOCOL if PROTOCOL in socket.scope.get("subprotocols", ()) else None)
        if len(self._viewers) >= MOST_VIEWERS:
            await socket.close(TRY_AGAIN_LATER, f"{MOST_VIEWERS} viewers are here already")
            return
        viewer = Viewer(socket, self._newest, self._state_bytes, self._encode, self._pause_s)
        self._viewers.add(viewer)
        try:
            await viewer.run()
        finally:
            self._viewers.discard(viewer)

    def _frame_came(self) -> None:
        """Called by the threads that write results: no more than a word to the server's thread, if anybody looks."""
        if self._viewers and self._server is not None:
            self._server.loop.call_soon_threadsafe(self._wake_all)

    def _wake_all(self) -> None:
        for viewer in self._viewers:
            viewer.wake()

    def _newest(self) -> dict[int, ShownFrame]:
        return {number: one.newest for number, one in self._streams.items() if one.newest is not None}

    def _pause_s(self) -> float:
        return max(FASTEST_S, len(self._viewers) / FRAMES_S)

    def _encode(self, shown: ShownFrame, side: int) -> "asyncio.Future[bytes]":
        return asyncio.get_running_loop().run_in_executor(self._encoder, shown.message, side)

    async def _beside(self, work: Callable[[], bytes]) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._encoder, work)

    def _state(self) -> State:
        stages = self.times.since(0)[-CHART_FRAMES:]
        rounded = [(number, {name: round(ms, 3) for name, ms in frame.items()}) for number, frame in stages]
        metrics = Metrics(self._backend, self._model, round(memory_mb(), 1), len(self._viewers), rounded)
        return State([one.state() for one in self._streams.values()], metrics)

    def _state_bytes(self) -> bytes:
        """The state as JSON, made once for viewers that ask at about the same time."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._state_made[0] > 0.1:
            self._state_made = now_s, msgspec.json.encode(self._state())
        return self._state_made[1]

    async def _say_goodbye(self) -> None:
        for viewer in self._viewers:
            viewer.dismiss(GOING_AWAY)
        for _ in range(20):
            if not self._viewers:
                break
            await asyncio.sleep(LEAVE_S / 20)


def memory_mb() -> float:
    """Resident memory of this process in MiB."""
    import resource

    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # no Linux: the most that it ever was, which macOS counts in bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return pages * resource.getpagesize() / 2**20
