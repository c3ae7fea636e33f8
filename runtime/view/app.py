"""The web application of a view: its page, its API, its socket, and the errors of all three as one line of JSON."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib.resources import files
from typing import Any

import msgspec
from masklet.runtime.errors import MaskletError
from masklet.runtime.streams.steered_tracker import EndedError
from masklet.runtime.view.control import GoneError
from masklet.runtime.view.endpoints import MEDIA, Endpoint, document
from masklet.runtime.view.guard import Guard
from masklet.runtime.view.messages import Failure
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

MAX_BODY = 8 << 20  # bytes; a mask as RLE of a 4K frame is far smaller
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def build_app(
    endpoints: Sequence[Endpoint], socket: Callable[[WebSocket], Awaitable[None]], token: str | None, version: str
) -> Guard:
    """The application. socket: serves a viewer until it leaves."""
    api = document("masklet view", version, endpoints)
    routes = [Route(one.path, partial(_call, one), methods=[one.method]) for one in endpoints]
    routes += [
        Route("/api/openapi.json", partial(_answer, _json(api)), methods=["GET"]),
        *(Route(path, partial(_answer, page), methods=["GET"]) for path, page in static_pages().items()),
    ]
    failures: dict[Any, Any] = {HTTPException: _failed, MaskletError: _failed, Exception: _failed}
    app = Starlette(routes=[*routes, WebSocketRoute("/api/socket", socket)], exception_handlers=failures)
    return Guard(app, token, lambda code, error: _json(Failure(error), code))


def static_pages() -> dict[str, Response]:
    """What lies in static/, by the path at which it is served: nothing else can be."""
    pages = {}
    root = files("masklet.runtime.view") / "static"
    for folder, prefix in ((root, "/"), (root / "js", "/js/")):
        for file in folder.iterdir():
            suffix = file.name.rpartition(".")[2]
            if file.is_file() and suffix in TYPES:
                pages[prefix + file.name] = Response(file.read_bytes(), media_type=TYPES[suffix])
    pages["/"] = pages["/index.html"]
    return pages


async def _answer(response: Response, request: Request) -> Response:
    return response


async def _call(endpoint: Endpoint, request: Request) -> Response:
    """Read a request as its endpoint declares it, and answer."""
    given: dict[str, Any] = {name: _number(request.path_params[name]) for name in endpoint.parameters}
    if endpoint.body is not None:
        given["body"] = msgspec.json.decode(await _body(request), type=endpoint.body)
    answer = await endpoint.handle(**given)
    if endpoint.answer is None:
        return Response(status_code=204)
    if endpoint.answer in MEDIA:
        return Response(answer, media_type=endpoint.answer)
    return _json(answer)


async def _body(request: Request) -> bytes:
    """The body, as long as it is short enough, whatever its header says."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"the request is larger than {MAX_BODY >> 20} MB")
    return bytes(body)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise HTTPException(404, f"{text[:40]!r} is no number of a stream or an object")
    return int(text)


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def _failed(request: Request, error: Exception) -> Response:
    """One line for whatever went wrong."""
    if isinstance(error, HTTPException):
        return _json(Failure(error.detail), error.status_code)
    return _json(Failure(say(error)), status_of(error))


def status_of(error: Exception) -> int:
    """The HTTP status of an error."""
    known = {GoneError: 404, EndedError: 409, MaskletError: 422, msgspec.DecodeError: 400, RecursionError: 400}
    return next((status for kind, status in known.items() if isinstance(error, kind)), 500)


def say(error: Exception) -> str:
    """An error as it is sent to a viewer."""
    if isinstance(error, MaskletError):
        return str(error)
    if isinstance(error, msgspec.DecodeError):
        return f"the request is not understood: {error}"
    if isinstance(error, RecursionError):
        return "the request is not understood: it is nested too deeply"
    return f"internal error: {type(error).__name__}: {' '.join(str(error).split())}"
