"""The user's cache, for files that can be made again."""

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """A folder in the user's cache, which may not exist yet. An empty XDG_CACHE_HOME counts as unset (XDG)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "masklet" / name
