"""The extras of masklet: which packages each brings, and which of them are installed."""

import re
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version

from masklet.runtime.errors import MaskletError

NOT_FOR_USERS = ("dev", "docs")
# Packages that install the same module: either will do.
INSTEAD = {
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime-openvino"),
    "opencv-python-headless": ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "cuda-bindings": ("pycuda",),
}
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)[^;]*(?:;.*extra\s*==\s*['\"](?P<extra>[\w-]+)['\"])?.*")

_PYTHON = re.compile(r"python_version\s*(<|>=)\s*['\"]3\.(\d+)['\"]")


def extras() -> Mapping[str, tuple[str, ...]]:
    """The packages of each extra by its name; those that masklet always needs under ""."""
    found: dict[str, list[str]] = {"": []}
    for line in _requirements():
        match = _REQUIREMENT.fullmatch(line)
        if match is not None and match["extra"] not in NOT_FOR_USERS and _for_this_python(line):
            found.setdefault(match["extra"] or "", []).append(match["name"])
    return {name: tuple(packages) for name, packages in found.items()}


def _for_this_python(line: str) -> bool:
    older = {sign: sys.version_info[1] < int(minor) for sign, minor in _PYTHON.findall(line)}
    return older.get("<", True) and not older.get(">=", False)


def _requirements() -> list[str]:
    try:
        return requires("masklet") or []
    except PackageNotFoundError:  # run from a folder, without being installed
        return []


def installed_version(package: str) -> str | None:
    """The version of a package, or of one that installs the same module; None if there is none."""
    for name in (package, *INSTEAD.get(package, ())):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def require_extra(extra: str, what: str) -> None:
    """Raise MaskletError, naming the packages and the extra, if one of an extra's packages is not installed.

    what: what needs them, as "calibrating".
    """
    missing = [package for package in extras().get(extra, ()) if installed_version(package) is None]
    if missing:
        raise MaskletError(f"{what} needs {', '.join(missing)}; pip install 'masklet[{extra}]'")
