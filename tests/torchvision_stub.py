"""timm imports torchvision when it is imported, for names that a RepViT never calls. Where torchvision cannot be
imported, tests let timm have empty names instead; the project itself ships no such thing."""

import enum
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from typing import Any


class _Interpolation(enum.Enum):
    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"
    BOX = "box"
    HAMMING = "hamming"


class _Empty(types.ModuleType):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Interpolation if name == "InterpolationMode" else type(name, (), {})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name.split(".")[0] != "torchvision":
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Empty(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to run."""


def import_timm() -> None:
    """Import timm and transformers' wrapper of it, with empty names for torchvision where that is not installed.

    transformers takes timm for missing where torchvision is, so it is told otherwise; it never comes to see the names.
    """
    if "timm" in sys.modules:
        return
    if importlib.util.find_spec("torchvision") is not None:
        importlib.import_module("timm")
        return
    from transformers import utils
    from transformers.utils import import_utils

    utils.is_torchvision_available()  # remembers its answer
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        importlib.import_module("timm")
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
    _, message = import_utils.BACKENDS_MAPPING["timm"]
    import_utils.BACKENDS_MAPPING["timm"] = (_yes, message)
    utils.is_timm_available = import_utils.is_timm_available = _yes
    importlib.import_module("transformers.models.timm_wrapper.modeling_timm_wrapper")


def _yes() -> bool:
    return True
