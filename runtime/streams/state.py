"""The state of a stream on disk: whole or not there, vouched for by its hash, and never mistaken for another's."""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from masklet.runtime.errors import StateError
from masklet.runtime.streams.message_pack import pack, unpack
from masklet.runtime.tracking.snapshot import TrackerSnapshot

MAGIC = b"masklet state 2\n"
_ANY_MAGIC = b"masklet state "


@dataclass(frozen=True, slots=True, eq=False)
class StreamState:
    """A stream after a frame whose results are written.

    bundle:      SHA-256 of the bundle's manifest, which holds the hashes of everything in it.
    source:      what was read, as it was given, without passwords.
    frame_index, time_s: of that frame.
    given:       frame and object id of the prompts that were given.
    """

    bundle: str
    source: str
    frame_index: int
    time_s: float
    given: list[tuple[int, int]]
    tracker: TrackerSnapshot


def save_state(path: Path, state: StreamState) -> None:
    """Write a state so that a crash at any moment leaves either the one before or this one. Raises StateError."""
    body = pack(state)
    beside = path.with_name(f".{path.name}.tmp")
    try:
        with open(beside, "wb") as file:
            file.write(MAGIC + hashlib.sha256(body).digest() + body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise StateError(f"{path}: the state cannot be written: {error.strerror}") from None


def load_state(path: Path, bundle: str, source: str, memory: str, tell: Callable[[str], None]) -> StreamState | None:
    """Read the state of a stream; None where there is none, or only a damaged one, which is moved aside.

    bundle, source: as in StreamState. memory: the memory policy (`policy_text`). tell: is told of a damaged file.
    Raises StateError for another bundle, source or memory policy, or another version of masklet.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        _check_folder(path)
        return None
    except OSError as error:
        raise StateError(f"{path}: the state cannot be read: {error.strerror}") from None
    if raw.startswith(_ANY_MAGIC) and not raw.startswith(MAGIC):
        raise StateError(f"{path}: a state of another version of masklet; go on with that one, or move the file away")
    state = _decoded(raw)
    if state is None:
        aside = _move_aside(path)
        tell(f"{path}: the state is damaged or none; kept as {aside}, and this run starts anew")
    elif state.bundle != bundle:
        raise StateError(f"{path}: the state of another bundle; give that bundle, or another --state")
    elif state.source != source:
        raise StateError(f"{path}: the state of {state.source}, not of {source}; give that source, or another --state")
    elif state.tracker.memory != memory:
        was = state.tracker.memory
        raise StateError(f"{path}: a state under --memory {was}, not {memory}; give --memory {was}, or another --state")
    return state


def _decoded(raw: bytes) -> StreamState | None:
    digest, body = raw[len(MAGIC) : len(MAGIC) + 32], raw[len(MAGIC) + 32 :]
    if not raw.startswith(MAGIC) or hashlib.sha256(body).digest() != digest:
        return None
    try:
        return unpack(body, StreamState)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise StateError(f"{path}: a state cannot be written there; make the folder, or allow writing to it")


def _move_aside(path: Path) -> Path:
    """Rename a damaged file to the first name that is free."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    try:
        path.rename(aside)
    except OSError as error:
        raise StateError(f"{path}: the state is damaged, and cannot be moved aside: {error.strerror}") from None
    return aside
