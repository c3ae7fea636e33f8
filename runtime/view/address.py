"""Where a view is served, and who may use it."""

import os
import secrets
import socket
from dataclasses import dataclass
from ipaddress import ip_address

from masklet.runtime.errors import MaskletError

LOOPBACK = "127.0.0.1"
TOKEN_VARIABLE = "MASKLET_VIEW_TOKEN"
SHORTEST_TOKEN = 16


@dataclass(frozen=True, slots=True)
class Address:
    """host: an address or a name; port: 0 for any that is free; token: None where this machine alone is served."""

    host: str
    port: int
    token: str | None

    @classmethod
    def parse(cls, option: str, text: str) -> "Address":
        """Read [HOST:]PORT, this machine alone where the host is left out.

        Another host than loopback needs a token: that of the environment variable MASKLET_VIEW_TOKEN, or a new one.
        Raises MaskletError naming the option.
        """
        host, _, port = text.rpartition(":")
        if not port.isascii() or not port.isdecimal() or int(port) > 65535:
            raise MaskletError(f"{option} {text}: expected [HOST:]PORT, such as 8000 or 0.0.0.0:8000")
        host = host.strip("[]") or LOOPBACK
        return cls(host, int(port), None if is_loopback(host) else _token())

    @property
    def shown_host(self) -> str:
        """The host as a URL has it; the machine's name where every address of it is served."""
        host = socket.gethostname() if self.host in ("0.0.0.0", "::") else self.host
        return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by name or by address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _token() -> str:
    token = os.environ.get(TOKEN_VARIABLE)
    if token is None:
        return secrets.token_urlsafe(24)
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.replace("-", "").replace("_", "").isalnum():
        raise MaskletError(
            f"{TOKEN_VARIABLE}: wanted {SHORTEST_TOKEN} or more letters, digits, - and _; leave it out for a new token"
        )
    return token
