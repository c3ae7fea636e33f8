"""The server of a view, in a thread of its own."""

import asyncio
import errno
import socket
import threading

from masklet.runtime.closing import Closing
from masklet.runtime.errors import MaskletError
from masklet.runtime.view.address import Address
from masklet.runtime.view.guard import App

START_S, STOP_S = 10.0, 3.0
BACKLOG = 256
MAX_MESSAGE = 64 << 10  # bytes of a message from a viewer


def listen(option: str, address: Address) -> socket.socket:
    """Take the port. Raises MaskletError where it is in use, or not this machine's."""
    try:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        return socket.create_server((address.host, address.port), family=family, backlog=BACKLOG)
    except OSError as error:
        where = f"{address.host}:{address.port}"
        if error.errno == errno.EADDRINUSE:
            raise MaskletError(f"{option} {where}: the port is in use; give another one") from None
        raise MaskletError(f"{option} {where}: cannot listen there: {error.strerror}") from None


class Server(Closing):
    """Serves an application at a socket until it is closed. loop: in which everything of it runs."""

    def __init__(self, app: App, listening: socket.socket) -> None:
        import uvicorn

        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="critical",
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,
            ws="websockets-sansio",
            ws_max_size=MAX_MESSAGE,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._listening = listening
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="view", daemon=True)
        self._thread.start()
        self._started.wait(START_S)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listening.getsockname()[1])

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(STOP_S)
        self._listening.close()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._started.set()
        await self._server.serve(sockets=[self._listening])
