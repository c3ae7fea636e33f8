"""Backends that take as long as they are told, in place of those that are installed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from masklet.runtime.backends.placement import candidates
from scripted_backends import Machine, Script

Here = Callable[..., Machine]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, user_cache: Path) -> Here:
    """Puts scripted backends in place of all others; returns their machine."""

    def put(**scripts: Script) -> Machine:
        machine = Machine()
        kinds = machine.kinds({name.replace("_", "-"): script for name, script in scripts.items()})
        monkeypatch.setattr(candidates, "backend_kinds", lambda: kinds)
        return machine

    return put
