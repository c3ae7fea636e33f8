"""Backends that take as long as they are told, in place of those that are installed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_backends import Machine, Script

Here = Callable[..., Machine]


@pytest.fixture
def here(user_cache: Path) -> Here:
    """A machine with these scripted backends, and nothing in the user's cache yet."""

    def put(**scripts: Script) -> Machine:
        return Machine(scripts)

    return put
