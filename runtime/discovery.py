"""Finds what a folder of the package offers: a file there that has the object is found, nothing is to be registered."""

import importlib
import pkgutil
from types import ModuleType
from typing import Any


def find_in(folder: ModuleType, attribute: str) -> list[Any]:
    """The object called `attribute` of every module in a package's folder that has one, in the modules' order.

    A path that is appended to the package's `__path__` is looked through as well, so other packages can add to it.
    """
    modules = (importlib.import_module(f"{folder.__name__}.{m.name}") for m in pkgutil.iter_modules(folder.__path__))
    return [getattr(module, attribute) for module in modules if hasattr(module, attribute)]
