"""Serves a page, its API and its viewers at an address."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import TypeVar

from masklet.runtime.closing import Closing
from masklet.runtime.view.address import Address
from masklet.runtime.view.app import build_app
from masklet.runtime.view.endpoints import Endpoint
from masklet.runtime.view.guard import PROTOCOL
from masklet.runtime.view.server import Server, listen
from masklet.runtime.view.shown_frame import ShownFrame
from masklet.runtime.view.viewer import GOING_AWAY, Viewer
from starlette.websockets import WebSocket

T = TypeVar("T")

FASTEST_S = 1 / 30  # between two frames to one viewer
FRAMES_S = 90  # a second to all viewers together: more of them get fewer each
MOST_VIEWERS = 256
LEAVE_S = 1.0  # how long viewers have to hear that it is over
SAME_S = 0.1  # viewers that ask for the state within this time get the same
TRY_AGAIN_LATER = 1013


class PageServer(Closing):
    """Takes its port at once, and serves from `begin` on, until it is closed.

    newest: frames by stream, for viewers to come for. state: of what is viewed, as JSON.
    Raises MaskletError where the port cannot be taken.
    """

    def __init__(
        self, option: str, address: Address, newest: Callable[[], Mapping[int, ShownFrame]], state: Callable[[], bytes]
    ) -> None:
        self._address, self._listening = address, listen(option, address)
        self._newest, self._state = newest, state
        self._viewers: set[Viewer] = set()
        self._beside = ThreadPoolExecutor(1, "view encoder")
        self._server: Server | None = None
        self._state_made = 0.0, b""

    def begin(self, endpoints: Sequence[Endpoint]) -> None:
        """Serve."""
        app = build_app(endpoints, self._socket, self._address.token, version("masklet"))
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

    @property
    def viewers(self) -> int:
        """How many are connected."""
        return len(self._viewers)

    def frame_came(self) -> None:
        """Viewers look for a frame. Any thread may say so: it costs no more than a word to the server's thread."""
        if self._viewers and self._server is not None:
            self._server.loop.call_soon_threadsafe(self._wake_all)

    async def beside(self, work: Callable[[], T]) -> T:
        """Do something in the thread beside the server's, one thing at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._beside, work)

    def close(self) -> None:
        """Tell viewers that it is over, and stop serving."""
        server, self._server = self._server, None
        if server is None:
            self._listening.close()
            return
        asyncio.run_coroutine_threadsafe(self._say_goodbye(), server.loop).result(2 * LEAVE_S)
        server.close()
        self._beside.shutdown()

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

    def _wake_all(self) -> None:
        for viewer in self._viewers:
            viewer.wake()

    def _pause_s(self) -> float:
        return max(FASTEST_S, len(self._viewers) / FRAMES_S)

    def _encode(self, shown: ShownFrame, side: int) -> "asyncio.Future[bytes]":
        return asyncio.get_running_loop().run_in_executor(self._beside, shown.message, side)

    def _state_bytes(self) -> bytes:
        """The state, made once for viewers that ask at about the same time."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._state_made[0] > SAME_S:
            self._state_made = now_s, self._state()
        return self._state_made[1]

    async def _say_goodbye(self) -> None:
        for viewer in self._viewers:
            viewer.dismiss(GOING_AWAY)
        for _ in range(20):
            if not self._viewers:
                break
            await asyncio.sleep(LEAVE_S / 20)
