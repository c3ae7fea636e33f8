"""Triton's client library: imported when used, and what its errors mean."""

import os
from typing import Any

from masklet.runtime.errors import SessionError

LOST = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")  # the server is gone, hangs, or ended during a call
HANDSHAKE = ("handshake", "certificate", "ssl")  # in what gRPC says of a connection without agreement on TLS
WORDS_FOR = {"DEADLINE_EXCEEDED": "no answer in time", "UNAVAILABLE": "no connection", "CANCELLED": "it ended"}


def load_client() -> Any:
    """The module `tritonclient.grpc`. Raises SessionError if it is not installed."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its core writes to standard error what we say in one line
    try:
        import tritonclient.grpc
    except ImportError:
        raise SessionError("Triton's client library is not installed; pip install 'masklet[kserve]'") from None
    return tritonclient.grpc


def status(error: Exception) -> str:
    """The gRPC status of an error of the client library, such as UNAVAILABLE; empty if it has none."""
    said = getattr(error, "status", lambda: None)()
    return str(said or "").removeprefix("StatusCode.")


def reason(error: Exception) -> str:
    """What an error of the client library says, in one line."""
    if status(error) == "UNAVAILABLE" and any(word in str(error).lower() for word in HANDSHAKE):
        return "its certificate is not trusted, or it does not speak TLS"
    if status(error) in WORDS_FOR:
        return WORDS_FOR[status(error)]
    message = getattr(error, "message", lambda: None)() or str(error)
    return str(message).strip().splitlines()[0] if str(message).strip() else type(error).__name__
