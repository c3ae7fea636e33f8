"""The channel to a server: its address, TLS, and the token that goes with every call."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from masklet.runtime.errors import SessionError
from typing_extensions import Self

TOKEN_VARIABLE = "MASKLET_SERVER_TOKEN"
TLS = "grpcs://"
_ADDRESS = re.compile(r"unix:.+|[^\s/]+:\d{1,5}")
_TOKEN = re.compile(r"[!-~]+")  # RFC 6750 allows less; what a header cannot hold is refused here
_MAX_MESSAGE = 2**31 - 1  # bytes
OPTIONS = [
    ("grpc.max_send_message_length", _MAX_MESSAGE),
    ("grpc.max_receive_message_length", _MAX_MESSAGE),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),  # the default lets a server that is back wait for two minutes
]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is. url: HOST:PORT or unix:PATH. encrypted: whether TLS is spoken there."""

    url: str
    encrypted: bool

    @classmethod
    def parse(cls, given: str | None) -> Self:
        """Read HOST:PORT, grpc://HOST:PORT or grpcs://HOST:PORT. Raises SessionError if it is none."""
        encrypted = (given or "").startswith(TLS)
        url = (given or "").removeprefix(TLS).removeprefix("grpc://")
        if not _ADDRESS.fullmatch(url):
            wrong = f"--url {given}: wanted" if given else "--backend kserve needs --url"
            raise SessionError(
                f"{wrong} HOST:PORT of the server's gRPC service (Triton 8001, MLServer 8081, OpenVINO Model Server "
                f"9000), after {TLS} for TLS"
            )
        return cls(url, encrypted)

    def credentials(self, authority: Path | None) -> Any:
        """What gRPC opens an encrypted channel with; None for a plain one.

        authority: a file of certificates (PEM) that the server's is checked with; None for those of the system. The
        token of the environment variable MASKLET_SERVER_TOKEN, if there is one, is sent as a bearer token.
        Raises SessionError for a token or an authority without TLS, or a file that cannot be read.
        """
        import grpc

        token = os.environ.get(TOKEN_VARIABLE)
        if not self.encrypted:
            if token is not None or authority is not None:
                what = "--server-ca" if token is None else f"the token in {TOKEN_VARIABLE}"
                raise SessionError(f"{self.url}: {what} needs TLS, without which anyone reads it; give {TLS}{self.url}")
            return None
        channel = grpc.ssl_channel_credentials(None if authority is None else _certificates(authority))
        if token is None:
            return channel
        if not _TOKEN.fullmatch(token):
            raise SessionError(f"{TOKEN_VARIABLE}: wanted letters, digits and signs without spaces")
        return grpc.composite_channel_credentials(channel, grpc.access_token_call_credentials(token))


def _certificates(authority: Path) -> bytes:
    try:
        held = authority.read_bytes()
    except OSError as error:
        raise SessionError(f"--server-ca {authority}: cannot be read: {error.strerror}") from None
    if b"-----BEGIN CERTIFICATE-----" not in held:
        raise SessionError(f"--server-ca {authority}: holds no certificate; wanted a PEM file")
    return held
