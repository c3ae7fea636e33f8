"""A viewer at a socket that does not take what it is sent: nothing is kept for it."""

import asyncio
import itertools
from typing import Any

import numpy as np
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.view.shown_frame import ShownFrame
from masklet.runtime.view.viewer import CREDIT, Viewer
from starlette.websockets import WebSocketState

NOTHING = np.zeros(0, np.int64), np.zeros((0, 4, 4), bool), np.zeros((0, 4), np.float32), np.zeros(0, np.float32)


class Socket:
    """Asks for many frames. taken: how many messages it takes, of any kind, before it stalls."""

    application_state = WebSocketState.CONNECTED

    def __init__(self, taken: int) -> None:
        self._left = taken
        self._said = itertools.chain(
            ['{"type": "show", "streams": {"1": 64}}'], itertools.repeat('{"type": "next"}', 50)
        )
        self.frames: list[bytes] = []

    async def receive(self) -> dict[str, Any]:
        text = next(self._said, None)
        if text is None:
            await asyncio.Event().wait()
        return {"type": "websocket.receive", "text": text}

    async def send_text(self, text: str) -> None:
        await self._take()

    async def send_bytes(self, data: bytes) -> None:
        await self._take()
        self.frames.append(data)

    async def _take(self) -> None:
        self._left -= 1
        if self._left < 0:
            await asyncio.Event().wait()


async def watched(socket: Socket, frames: int) -> list[int]:
    """Counts of the frames that were encoded for a viewer, while so many came."""
    newest: dict[int, ShownFrame] = {}
    encoded: list[int] = []

    def encode(shown: ShownFrame, side: int) -> "asyncio.Future[bytes]":
        encoded.append(shown.count)
        done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        done.set_result(b"frame")
        return done

    viewer = Viewer(socket, lambda: newest, lambda: b"{}", encode, lambda: 0.0)  # type: ignore[arg-type]
    running = asyncio.create_task(viewer.run())
    for count in range(1, frames + 1):
        frame = Frame(count, count / 30, np.zeros((4, 4, 3), np.uint8))
        newest[1] = ShownFrame(1, count, float(count), frame, FrameResult(count, count / 30, *NOTHING))
        viewer.wake()
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    running.cancel()
    return encoded


def test_a_viewer_that_stalls_holds_one_message() -> None:
    socket = Socket(taken=2)
    encoded = asyncio.run(watched(socket, 500))
    assert len(socket.frames) <= 2
    assert len(encoded) <= len(socket.frames) + 1, "what is encoded is what is on its way"


def test_a_viewer_that_takes_everything_has_no_more_on_their_way_than_it_asked_for() -> None:
    socket = Socket(taken=10_000)
    encoded = asyncio.run(watched(socket, 500))
    assert 0 < len(encoded) == len(socket.frames) <= 50
    assert encoded == sorted(set(encoded))
    assert CREDIT < 50
