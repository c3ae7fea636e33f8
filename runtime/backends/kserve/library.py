"""Triton's client library: imported when used, and what its errors mean."""

import re
from typing import Any

from masklet.runtime.errors import SessionError

LOST = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")  # the server is gone, hangs, or ended during a call
WORDS_FOR = {"DEADLINE_EXCEEDED": "no answer in time", "UNAVAILABLE": "no connection", "CANCELLED": "it ended"}
_ADDRESS = re.compile(r"unix:.+|[^\s/]+:\d{1,5}")
_MAX_MESSAGE = 2**31 - 1  # bytes
CHANNEL = [
    ("grpc.max_send_message_length", _MAX_MESSAGE),
    ("grpc.max_receive_message_length", _MAX_MESSAGE),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),  # the default lets a server that is back wait for two minutes
]


def load_client() -> Any:
    """The module `tritonclient.grpc`. Raises SessionError if it is not installed."""
    try:
        import tritonclient.grpc
    except ImportError:
        raise SessionError("Triton's client library is not installed; pip install 'masklet[kserve]'") from None
    return tritonclient.grpc


def check_address(url: str | None) -> str:
    """The address without `grpc://`. Raises SessionError if it is none."""
    address = (url or "").removeprefix("grpc://")
    if not _ADDRESS.fullmatch(address):
        given = f"--url {url}: wanted" if url else "--backend kserve needs --url"
        raise SessionError(
            f"{given} HOST:PORT of the server's gRPC service (Triton 8001, MLServer 8081, OpenVINO Model Server 9000)"
        )
    return address


def status(error: Exception) -> str:
    """The gRPC status of an error of the client library, such as UNAVAILABLE; empty if it has none."""
    said = getattr(error, "status", lambda: None)()
    return str(said or "").removeprefix("StatusCode.")


def reason(error: Exception) -> str:
    """What an error of the client library says, in one line."""
    if status(error) in WORDS_FOR:
        return WORDS_FOR[status(error)]
    message = getattr(error, "message", lambda: None)() or str(error)
    return str(message).strip().splitlines()[0] if str(message).strip() else type(error).__name__
