"""The clips of the tests of archives."""

from collections.abc import Callable
from pathlib import Path

FRAMES = 3
Clips = Callable[[int], list[Path]]
"""A number of clips to their folders."""
