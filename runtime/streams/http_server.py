"""A small HTTP server for a few pages, in threads of its own."""

import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Page = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]  # a WSGI application


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # a client that reads slowly keeps no run from ending


class _ServerV6(_Server):
    address_family = socket.AF_INET6


class _Silent(WSGIRequestHandler):
    timeout = 10  # seconds in which a client has to send its request

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""


class HttpServer:
    """Serves pages until it is closed; every other path is 404. port: 0 for any free port; then the one taken.

    Raises OSError where the address cannot be listened on.
    """

    def __init__(self, host: str, port: int, pages: Mapping[str, Page]) -> None:
        self._pages = dict(pages)
        self._server = make_server(host, port, self._serve, _ServerV6 if ":" in host else _Server, _Silent)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, environment: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        page = self._pages.get(environment.get("PATH_INFO", ""))
        if page is None:
            start("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
            return [f"there are {' and '.join(sorted(self._pages))}\n".encode()]
        return page(environment, start)
