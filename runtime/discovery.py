"""Finds the objects that the files of a package folder define; no registration is needed."""

import importlib
import pkgutil
from types import ModuleType
from typing import Any


def find_in(folder: ModuleType, attribute: str) -> list[Any]:
    """The object named `attribute` of every module in a package's folder that has one, in the order of the modules.

    A path appended to the package's `__path__` is searched as well, so other packages can add to it.
    """
    modules = (importlib.import_module(f"{folder.__name__}.{m.name}") for m in pkgutil.iter_modules(folder.__path__))
    return [getattr(module, attribute) for module in modules if hasattr(module, attribute)]
