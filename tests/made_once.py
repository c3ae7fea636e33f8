"""What is made once a run of the tests, however many processes they run in."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder of that name: pytest-xdist's workers share it, and wait for the one that makes it.

    make: makes the folder at a path. No test may change what is in it.
    """
    own = factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    path, unfinished = shared / name, shared / f"{name}.unfinished"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            make(unfinished)
            unfinished.rename(path)
    return path
