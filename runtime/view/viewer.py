"""One viewer at its socket: it is sent the newest frames as it asks for them, and never makes anybody wait."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from masklet.runtime.view.messages import Bye, FromViewer, Next, Problem, Show
from masklet.runtime.view.shown_frame import SIDES, ShownFrame
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

CREDIT = 3  # frames that may be on their way at most
STATE_S = 0.25  # between two messages about the state
PROBLEMS = 20  # messages that are not understood until the viewer is sent away
CLOSE_S = 2.0  # how long its own goodbye is waited for
POLICY_VIOLATION, GOING_AWAY = 1008, 1001

Encode = Callable[[ShownFrame, int], "asyncio.Future[bytes]"]


class Viewer:
    """Frames go out as the viewer asks for them (`next`), each time the newest that it has not seen.

    newest: of every stream. state: the state as it is now, encoded. pause_s: between two frames at least.
    """

    def __init__(
        self,
        socket: WebSocket,
        newest: Callable[[], Mapping[int, ShownFrame]],
        state: Callable[[], bytes],
        encode: Encode,
        pause_s: Callable[[], float],
    ) -> None:
        self._socket, self._newest, self._state = socket, newest, state
        self._encode, self._pause_s = encode, pause_s
        self._wanted: dict[int, int] = {}
        self._seen: dict[int, int] = {}
        self._credit = self._problems = 0
        self._next_s = 0.0
        self._awake = asyncio.Event()
        self._goodbye: tuple[int, str] | None = None

    def wake(self) -> None:
        """Look for something to send."""
        self._awake.set()

    def dismiss(self, code: int, reason: str = "") -> None:
        """Close the connection, with what is being sent sent."""
        self._goodbye = code, reason
        self._awake.set()

    async def run(self) -> None:
        """Serve the viewer until it leaves or is dismissed."""
        reader = asyncio.create_task(self._read())
        try:
            await self._write(reader)
            await asyncio.wait([reader], timeout=CLOSE_S)
        except (WebSocketDisconnect, RuntimeError):
            pass  # it left while it was sent something
        finally:
            reader.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await reader

    async def _read(self) -> None:
        """Take what the viewer says, until it leaves; what it says after it was dismissed is not heard."""
        while (said := await self._socket.receive())["type"] != "websocket.disconnect":
            if self._goodbye is not None:
                continue
            try:
                self._take(msgspec.json.decode(said.get("text") or said.get("bytes") or b"", type=FromViewer))
            except (msgspec.DecodeError, RecursionError) as error:
                self._problems += 1
                await self._send_json(Problem(f"the message is not understood: {error}"))
                if self._problems >= PROBLEMS:
                    self.dismiss(POLICY_VIOLATION, "too many messages that are not understood")
            self._awake.set()
        self._awake.set()

    def _take(self, message: Show | Next) -> None:
        if isinstance(message, Next):
            self._credit = min(CREDIT, self._credit + 1)
            return
        least, most = SIDES
        self._wanted = {number: min(max(side, least), most) if side else 0 for number, side in message.streams.items()}
        self._seen = {number: count for number, count in self._seen.items() if number in self._wanted}

    async def _write(self, reader: "asyncio.Task[None]") -> None:
        """Send the state now and then, and frames while there is credit, in turn among the streams."""
        loop = asyncio.get_running_loop()
        state_s = 0.0
        while not reader.done():
            if self._goodbye is not None:
                if self._goodbye[0] == GOING_AWAY:
                    await self._send_json(Bye())
                await self._socket.close(*self._goodbye)
                return
            now_s = loop.time()
            if now_s >= state_s:
                state_s = now_s + STATE_S
                await self._socket.send_text(self._state().decode())
            due = self._due() if now_s >= self._next_s else None
            if due is not None:
                await self._send_frame(due, loop)
                continue
            later = self._next_s if self._next_s > now_s and self._credit else state_s
            self._awake.clear()
            timer = loop.call_later(max(0.001, min(state_s, later) - now_s), self._awake.set)
            await self._awake.wait()
            timer.cancel()

    def _due(self) -> ShownFrame | None:
        """The newest frame of the wanted stream that waited longest, if there is one that was not seen."""
        if not self._credit:
            return None
        newest = self._newest()
        unseen = [
            newest[number]
            for number in self._wanted
            if number in newest and newest[number].count != self._seen.get(number)
        ]
        return min(unseen, key=lambda shown: shown.at_s, default=None)

    async def _send_frame(self, shown: ShownFrame, loop: asyncio.AbstractEventLoop) -> None:
        self._next_s = loop.time() + self._pause_s()
        self._credit -= 1
        self._seen[shown.stream] = shown.count
        await self._socket.send_bytes(await self._encode(shown, self._wanted[shown.stream]))

    async def _send_json(self, message: Any) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            await self._socket.send_text(msgspec.json.encode(message).decode())
