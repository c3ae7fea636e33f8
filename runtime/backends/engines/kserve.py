"""A server of the KServe V2 protocol: the stages run there, the memory of a stream stays here."""

from pathlib import Path
from typing import TYPE_CHECKING

from masklet.runtime.backends.kind import BackendKind, Settings
from masklet.runtime.option import Option

if TYPE_CHECKING:
    from masklet.runtime.backends.session import ChosenBackend

URL = Option(
    "url",
    "gRPC address of the model server that runs the stages, with TLS as grpcs://HOST:PORT; the environment variable "
    "MASKLET_SERVER_TOKEN is sent as its token.",
    metavar="[grpcs://]HOST:PORT",
)
AUTHORITY = Option(
    "server_ca", "Certificates (PEM) that the server's is checked with; by default the system's.", Path, metavar="FILE"
)
SERVED_AS = Option(
    "served_as",
    "What the names of the server's models begin with, as `masklet serve --name` was given.",
    metavar="NAME",
)
TIMEOUT = Option("server_timeout", "Seconds that a call of a stage on the server may take.", float, 10.0)
WAIT = Option("server_wait", "Seconds to wait for a server that was lost; the stream then goes on.", float, 60.0)


def create(threads: int | None, settings: Settings) -> "ChosenBackend":
    """Stages on a server. threads: without effect, the server has its own."""
    from masklet.runtime.backends.kserve.backend import KServe

    return KServe(
        settings.get("url"),
        served_as=settings.get("served_as"),
        authority=settings.get("server_ca"),
        timeout_s=settings.get("server_timeout", 10.0),
        wait_s=settings.get("server_wait", 60.0),
    )


BACKEND = BackendKind(
    "kserve",
    "A model server that speaks the KServe V2 protocol: Triton, MLServer, OpenVINO Model Server",
    create,
    extra="kserve",
    options=(URL, SERVED_AS, AUTHORITY, TIMEOUT, WAIT),
    forms={},
    placed=lambda url: {"url": url},
)
