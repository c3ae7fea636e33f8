"""The state of a stream on disk: written as a whole or not at all, verified by a hash, bound to bundle and source."""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from masklet.runtime.errors import StateError
from masklet.runtime.prompts.prompt_records import PromptRecord
from masklet.runtime.streams.message_pack import pack, unpack
from masklet.runtime.tracking.snapshot import TrackerSnapshot

MAGIC = b"masklet state 2\n"
_ANY_MAGIC = b"masklet state "


@dataclass(frozen=True, slots=True, eq=False)
class StreamState:
    """The state of a stream after a frame whose results are written.

    bundle:      SHA-256 of the bundle's manifest, which contains the hashes of all its files.
    source:      the source as given, without passwords.
    frame_index, time_s: of that frame.
    given:       (frame, object id) of the prompts that were given.
    live, names: of the prompt book: prompts that were given while the stream ran, and names of objects.
    """

    bundle: str
    source: str
    frame_index: int
    time_s: float
    given: list[tuple[int, int]]
    tracker: TrackerSnapshot
    live: list[PromptRecord] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)


def save_state(path: Path, state: StreamState) -> None:
    """Write a state. A crash at any moment leaves either the previous or the new one. Raises StateError."""
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
    """Read the state of a stream. Returns None if there is none, or if it is damaged; a damaged file is renamed.

    bundle, source: as in StreamState.
    memory:         the memory policy of the run, as `policy_text` writes it.
    tell:           called with a message about a damaged file.
    Raises StateError if the state is of another bundle, source or memory policy, or another version of masklet.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        _check_folder(path)
        return None
    except OSError as error:
        raise StateError(f"{path}: the state cannot be read: {error.strerror}") from None
    if raw.startswith(_ANY_MAGIC) and not raw.startswith(MAGIC):
        raise StateError(f"{path}: saved by another version of masklet; use that version, or move the file away")
    state = _decoded(raw)
    if state is None:
        aside = _move_aside(path)
        tell(f"{path}: the state is damaged; renamed to {aside}; the run starts from the beginning")
    elif state.bundle != bundle:
        raise StateError(f"{path}: saved with another bundle; give that bundle, or another --state")
    elif state.source != source:
        raise StateError(f"{path}: saved for {state.source}, not {source}; give that source, or another --state")
    elif state.tracker.memory != memory:
        saved = state.tracker.memory
        raise StateError(f"{path}: saved with --memory {saved}, not {memory}; give that policy, or another --state")
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
        raise StateError(f"{path}: the state cannot be written there; create the folder, or allow writing to it")


def _move_aside(path: Path) -> Path:
    """Rename a damaged file to the first free name."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    try:
        path.rename(aside)
    except OSError as error:
        raise StateError(f"{path}: the state is damaged and cannot be renamed: {error.strerror}") from None
    return aside
