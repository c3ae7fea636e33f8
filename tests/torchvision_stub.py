"""torchvision where none can be imported: enough of it for packages that ask for it when they are imported.

timm asks for names that a RepViT never calls; Meta's packages call a few, which stand written out in
`torchvision_parts`. The project itself ships no such thing.
"""

import enum
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
import warnings
from typing import Any

from torchvision_parts import PARTS


class _Interpolation(enum.Enum):
    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
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
        if name == "InterpolationMode":
            return _Interpolation
        return PARTS.get(name) or type(name, (), {})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name.split(".")[0] != "torchvision":
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Empty(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to run."""


def import_with_torchvision(name: str) -> types.ModuleType:
    """Import a module that imports torchvision, which it gets from here where that is not installed.

    transformers never comes to see it: it remembers that there is none.
    """
    if name in sys.modules or importlib.util.find_spec("torchvision") is not None:
        return importlib.import_module(name)
    from transformers import utils

    utils.is_torchvision_available()  # remembers its answer
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # several packages register a model in timm that is there already
            return importlib.import_module(name)
    finally:
        sys.meta_path.remove(finder)
        for loaded in [loaded for loaded in sys.modules if loaded.split(".")[0] == "torchvision"]:
            del sys.modules[loaded]


@functools.cache
def import_timm() -> None:
    """Import timm and transformers' wrapper of it, whoever imported either before.

    transformers takes timm for missing where torchvision is, so it is told otherwise.
    """
    timm = import_with_torchvision("timm")
    if importlib.util.find_spec("torchvision") is not None:
        return
    from transformers import utils
    from transformers.utils import import_utils

    _, message = import_utils.BACKENDS_MAPPING["timm"]
    import_utils.BACKENDS_MAPPING["timm"] = (_yes, message)
    utils.is_timm_available = import_utils.is_timm_available = _yes
    wrapper: Any = importlib.import_module("transformers.models.timm_wrapper.modeling_timm_wrapper")
    wrapper.timm = timm


def _yes() -> bool:
    return True
