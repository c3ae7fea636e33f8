"""The packages of the authors of models, for tests. Some share a module's name: these are imported apart."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
from torchvision_stub import import_with_torchvision

FOLDER = Path(sys.prefix) / "oracles"
MISSING = "the authors' own packages are not installed: make test sets them up (tests/oracle.txt)"


class Package:
    """Modules of a package of the authors of a model.

    name:   of its top module, under which others are installed too.
    folder: below `FOLDER`, where it lies; None for the one that is installed like any other.
    """

    def __init__(self, name: str, folder: str | None = None) -> None:
        self._name, self._folder = name, folder
        self._modules: dict[str, ModuleType] = {}

    def require(self) -> None:
        """Skip a test where the package is not installed."""
        there = importlib.util.find_spec(self._name) if self._folder is None else (FOLDER / self._folder).is_dir()
        if not there:
            pytest.skip(MISSING, allow_module_level=True)

    def __call__(self, module: str) -> ModuleType:
        """One of its modules, by its dotted name below the top."""
        with self._alone():
            return import_with_torchvision(f"{self._name}.{module}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While this package's modules are the ones of that name."""
        if self._folder is None:
            yield
            return
        others = _taken_out(self._name)
        sys.modules.update(self._modules)
        sys.path.insert(0, str(FOLDER / self._folder))
        try:
            yield
        finally:
            sys.path.remove(str(FOLDER / self._folder))
            self._modules = _taken_out(self._name)
            sys.modules.update(others)


def _taken_out(name: str) -> dict[str, ModuleType]:
    return {loaded: sys.modules.pop(loaded) for loaded in list(sys.modules) if loaded.split(".")[0] == name}


SAM = Package("segment_anything")
SAM_HQ = Package("segment_anything_hq")
MOBILE_SAM = Package("mobile_sam")
SAM2 = Package("sam2")
EDGETAM = Package("sam2", "edgetam")
EFFICIENTTAM = Package("sam2", "efficienttam")
