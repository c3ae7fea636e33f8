"""The place of an archive's result sets, by what a user calls it."""

from pathlib import Path

from masklet.runtime.archive.object_store import ObjectStore
from masklet.runtime.archive.result_folder import ResultFolder
from masklet.runtime.archive.result_set import ResultStore
from masklet.runtime.archive.video import is_address


def store_at(place: str) -> ResultStore:
    """A URL of fsspec, or a folder."""
    return ObjectStore(place) if is_address(place) else ResultFolder(Path(place).resolve())
