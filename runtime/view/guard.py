"""Who may use a view: the guard in front of its pages and its API."""

import hmac
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from masklet.runtime.view.address import is_loopback

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PROTOCOL = "masklet"  # of the socket; the token travels as another one, since browsers send no other header there
TOKEN_PROTOCOL = "token."
HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        b"frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class Guard:
    """An ASGI application around another.

    A request from a page of another origin is refused, so that no website can reach a view through its visitor's
    browser; and on loopback one for another host's name, which such a site could have pointed here. Under /api a token
    is needed where there is one: as `Authorization: Bearer TOKEN`, or of sockets as a subprotocol `token.TOKEN`.
    """

    def __init__(self, app: App, token: str | None, refuse: "Callable[[int, str], App]") -> None:
        self._app, self._token, self._refuse = app, token, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = _headers(scope["headers"])
        app = self._app
        refused = self._problem(scope, headers)
        if refused is not None:
            app = self._refuse(*refused)

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        await app(scope, receive, send_with_headers)

    def _problem(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, f"the page at {origin[:100]} is not this view's; open the view itself"
        if self._token is None:
            name = urlsplit(f"//{host}").hostname or ""
            return None if is_loopback(name) else (403, "this view is for this machine alone: open it at 127.0.0.1")
        if not scope["path"].startswith("/api"):
            return None
        given = _token(scope, headers)
        if given is None:
            return 401, "this view needs its token: open the address that `masklet` printed, with what is behind its #"
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return 401, "this is not the token of this view; a new run has a new one: open the address that it printed"
        return None


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers by name; of one that is given twice, both, so that it equals nothing."""
    found: dict[str, str] = {}
    for name, value in raw:
        key = name.decode("latin-1").lower()
        found[key] = f"{found[key]}, {value.decode('latin-1')}" if key in found else value.decode("latin-1")
    return found


def _token(scope: Scope, headers: dict[str, str]) -> str | None:
    if scope["type"] == "websocket":
        offered = [one for one in scope.get("subprotocols", ()) if one.startswith(TOKEN_PROTOCOL)]
        return offered[0].removeprefix(TOKEN_PROTOCOL) if offered else None
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token else None
