"""Ray: started on this machine, or joined at an address. What it raises becomes one line."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from masklet.runtime.errors import SessionError

CONNECT_S = 5.0
LOCAL_STORE = 100 << 20  # bytes of Ray's object store: no frame and no mask goes through it


@dataclass(frozen=True, slots=True)
class Resources:
    """What the workers get. address: HOST:PORT of a cluster's head, "auto" for one on this machine, None for none."""

    workers: int
    cpus: int = 1
    gpus: float = 0.0
    address: str | None = None


def load_ray() -> Any:
    """The module. Raises SessionError if Ray is not installed."""
    try:
        import ray
    except ImportError:
        raise SessionError("Ray is not installed; pip install 'masklet[archive]'") from None
    return ray


@contextmanager
def cluster(wanted: Resources) -> Iterator[Any]:
    """Ray, connected while the block runs; a local one is ended with it.

    Raises SessionError if nothing answers at the address, its version of Ray or Python is another, or it has too
    little for a single worker.
    """
    ray = load_ray()
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if wanted.address is None:
            ray.init(
                num_cpus=wanted.workers * wanted.cpus,
                include_dashboard=False,
                object_store_memory=LOCAL_STORE,
                **({"num_gpus": wanted.workers * wanted.gpus} if wanted.gpus else {}),
                **quiet,
            )
        else:
            _check_answers(wanted.address)
            ray.init(address=wanted.address, **quiet)
    except (RuntimeError, ConnectionError, ValueError, OSError) as error:
        where = "" if wanted.address is None else f"--ray {wanted.address}: "
        raise SessionError(f"{where}Ray cannot be used: {_line(error)}") from None
    try:
        _check_enough(ray, wanted)
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Raise SessionError if nobody listens: Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if address == "auto":
        return
    if not (colon and port.isdecimal()):
        raise SessionError(f"--ray {address}: wanted HOST:PORT of the head node, usually port 6379, or auto")
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise SessionError(f"--ray {address}: nobody answers there: {_line(error)}") from None


def _check_enough(ray: Any, wanted: Resources) -> None:
    there = ray.cluster_resources()
    for name, count in (("CPU", wanted.cpus), ("GPU", wanted.gpus)):
        if there.get(name, 0) < count:
            raise SessionError(f"Ray has {there.get(name, 0):g} {name}s, a worker wants {count:g}")


def _line(error: BaseException) -> str:
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    if said and "Version mismatch" in said[0]:
        return " ".join(said[:5])
    return said[0] if said else type(error).__name__
